//! A small data set for the tests of this crate: two disjoint tastes, two countries, times, kinds and repeats.

use std::fmt::Write as _;

use cinedex_dataset::{DataRoot, ImportOptions, TableFormat, TableImport, import_table};
use cinedex_domain::silent;
use tempfile::TempDir;

/// Name of the data set.
pub(crate) const NAME: &str = "small";

/// 40 users: the even like films 0 to 5 and live in Seoul, the odd like films 6 to 11 and live in Lagos. Everybody leaves out
/// one film of the own taste. User 0 rates film 0 high, then only watches it; user 1 rates film 6 low, later high.
pub(crate) fn small() -> (TempDir, DataRoot) {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = String::from("user_id,movie_id,kind,value,timestamp,location\n");
    rows += "0,0,rating,5,100,KR/11/Seoul\n0,0,watch,,200,KR/11/Seoul\n";
    rows += "1,6,rating,5,300,NG/LA/Lagos\n1,6,rating,1,100,NG/LA/Lagos\n";
    for user in 2..40 {
        let (first, place) = if user % 2 == 0 { (0, "KR/11/Seoul") } else { (6, "NG/LA/Lagos") };
        for movie in (first..first + 6).filter(|movie| movie - first != user / 2 % 6) {
            writeln!(rows, "{user},{movie},like,,{},{place}", 1000 + user).unwrap();
        }
        writeln!(rows, "{user},{},dislike,,2000,", 6 - first).unwrap();
    }
    let path = folder.path().join("rows.csv");
    std::fs::write(&path, rows).unwrap();
    let root = DataRoot::new(folder.path().join("data"));
    let import = TableImport::new(TableFormat::Csv { delimiter: b',', header: true }, vec![path]);
    import_table(&root, NAME, &import, &ImportOptions::default(), &silent).unwrap();
    (folder, root)
}
