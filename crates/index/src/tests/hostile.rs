//! Damage of every kind: refused with the file's name, never a panic, even where all checksums were made to agree.

use std::fs;
use std::path::{Path, PathBuf};

use cinedex_domain::Metric;
use cinedex_storage::sha256_bytes;

use super::forgery::{Forgery, Stage};
use super::interrogation::interrogate;
use super::world::{World, make_writable};
use crate::{IndexError, IndexRoot, InputFault, Version};

struct Built {
    _directory: tempfile::TempDir,
    root: IndexRoot,
    version: Version,
}

impl Built {
    fn new(world: &World) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = IndexRoot::new(directory.path());
        let version = world.build(&root).unwrap().version;
        make_writable(&root, &version);
        Self { root, version, _directory: directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(self.version.as_str()).join(name)
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("")).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Asserts that opening is refused with the file's name.
    fn refuses(&self, name: &str, what: &str) {
        match self.root.open(&self.version) {
            Ok(_) => panic!("{name}: {what} was accepted"),
            Err(error) => assert!(error.to_string().contains(name), "{name}, {what}: {error}"),
        }
    }

    /// Puts a changed manifest under the name that its hash demands.
    fn rename(&mut self, manifest: &[u8]) {
        fs::write(self.path("manifest.json"), manifest).unwrap();
        let name = format!("{}{}", &self.version.as_str()[..17], &sha256_bytes(manifest)[..8]);
        let version: Version = name.parse().unwrap();
        fs::rename(self.path(""), self.root.path().join(version.as_str())).unwrap();
        self.version = version;
    }
}

fn flip(path: &Path, position: usize) -> Vec<u8> {
    let whole = fs::read(path).unwrap();
    let mut altered = whole.clone();
    altered[position] ^= 0x11;
    fs::write(path, altered).unwrap();
    whole
}

#[test]
fn a_flipped_byte_in_any_file_is_refused_with_its_name() {
    let built = Built::new(&World::new(80, 12, 6));
    for name in built.files() {
        let length = fs::metadata(built.path(&name)).unwrap().len() as usize;
        for position in (0..40).map(|step| step * (length - 1) / 39).chain(0..64) {
            let whole = flip(&built.path(&name), position);
            built.refuses(&name, &format!("byte {position} flipped"));
            assert!(built.root.activate(&built.version).is_err());
            fs::write(built.path(&name), whole).unwrap();
        }
    }
    built.root.activate(&built.version).unwrap();
}

#[test]
fn a_truncated_longer_missing_or_replaced_file_is_refused_with_its_name() {
    let built = Built::new(&World::new(80, 12, 6));
    for name in built.files() {
        let path = built.path(&name);
        let whole = fs::read(&path).unwrap();
        for length in [0, 1, 7, 63, 64, 65, whole.len() / 2, whole.len() - 1] {
            fs::write(&path, &whole[..length]).unwrap();
            built.refuses(&name, &format!("cut to {length}"));
        }
        fs::write(&path, [&whole[..], b"\0"].concat()).unwrap();
        built.refuses(&name, "one byte more");
        fs::remove_file(&path).unwrap();
        built.refuses(&name, "missing");
        fs::create_dir(&path).unwrap();
        built.refuses(&name, "a directory");
        fs::remove_dir(&path).unwrap();
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
            built.refuses(&name, "a link");
            fs::remove_file(&path).unwrap();
        }
        fs::write(&path, whole).unwrap();
    }
    interrogate(&built.root.open(&built.version).unwrap());
}

#[test]
fn a_file_of_another_bundle_is_refused() {
    let (one, mut world) = (Built::new(&World::new(80, 12, 6)), World::new(80, 12, 6));
    world.factors.row_mut(3)[0] += 1.0;
    world.histories.preferences[0] = 0.5;
    let other = Built::new(&world);
    for name in ["movie_factors.bin", "scan.bin", "graph.bin", "histories.bin"] {
        let whole = fs::read(one.path(name)).unwrap();
        fs::copy(other.path(name), one.path(name)).unwrap();
        one.refuses(name, "another bundle's");
        fs::write(one.path(name), whole).unwrap();
    }
    fs::copy(one.path("scan.bin"), one.path("graph.bin")).unwrap();
    one.refuses("graph.bin", "another kind");
}

#[test]
fn another_format_says_what_to_do() {
    for (format, remedy) in
        [("2", "run cinedex index build"), ("4", "update cinedex or run cinedex index build")]
    {
        let mut built = Built::new(&World::new(10, 2, 2));
        let text = fs::read_to_string(built.path("manifest.json")).unwrap();
        let text = text.replace("\"format_version\": 3", &format!("\"format_version\": {format}"));
        fs::write(built.path("manifest.json"), &text).unwrap();
        built.refuses(remedy, "another format");
        // The same where the hash agrees, and whatever else the manifest holds.
        built.rename(text.replace("\"settings\"", "\"einstellungen\"").as_bytes());
        built.refuses(remedy, "another format");
    }
}

#[test]
fn a_manifest_that_is_none_is_refused() {
    for text in ["", "{}", "[]", "null", "{\"format_version\": 3}", "{\"format_version\": \"3\"}", "\u{0}"] {
        let mut built = Built::new(&World::new(10, 2, 2));
        built.rename(text.as_bytes());
        built.refuses("manifest.json", text);
    }
    let mut built = Built::new(&World::new(10, 2, 2));
    let text = fs::read_to_string(built.path("manifest.json")).unwrap();
    built.rename(text.replace("\"scan.bin\"", "\"../scan.bin\"").as_bytes());
    built.refuses("manifest.json", "a file outside");
    assert!(built.root.activate(&built.version).is_err());
}

/// Writes `bytes` over the beginning of each section under right checksums, and asserts that opening names `blamed`.
fn lie(name: &str, sections: &[(&str, &[u8])], blamed: &str) {
    let mut forgery = Forgery::of(&World::new(40, 9, 4));
    let mut stage = Stage::new(&forgery);
    for (section, bytes) in sections {
        forgery.overwrite(name, section, bytes);
    }
    forgery.seal(name);
    match stage.open_sealed(&forgery) {
        Ok(_) => panic!("{name}: a lie in {sections:?} was accepted"),
        Err(error) => assert!(error.to_string().contains(&format!("{name}: section {blamed}")), "{error}"),
    }
}

#[test]
fn a_catalogue_that_lies_under_valid_checksums_is_refused() {
    let check = |section: &str, bytes: &[u8]| lie("catalogue.bin", &[(section, bytes)], section);
    let (all, huge, nine) = ([0xff; 8], u32::MAX.to_le_bytes(), 9u64.to_le_bytes());
    for texts in ["ids", "titles"] {
        check(&format!("{texts}.bytes"), b"\xff");
        check(&format!("{texts}.offsets"), &nine);
    }
    // The movie 9 before the movie 1, and an id without a letter.
    check("ids.bytes", b"9");
    lie("catalogue.bin", &[("ids.offsets", &[[0; 8], [0; 8]].concat())], "ids.bytes");
    for lists in ["genres", "countries", "languages", "original_titles", "other_titles", "tags", "imdb_ids"] {
        check(&format!("{lists}.lists"), &nine);
        check(&format!("{lists}.values"), &huge);
        check(&format!("{lists}.offsets"), &nine);
        check(&format!("{lists}.bytes"), b"\xff");
    }
    for (names, another) in [("genres", 1), ("countries", 0), ("languages", 1)] {
        check(&format!("{names}.set_offsets"), &nine);
        check(&format!("{names}.sets"), &huge);
        check(&format!("{names}.sets"), &[0; 4]);
        check(&format!("{names}.bytes"), b"~");
        // A name that there is, and that the movie does not have.
        lie("catalogue.bin", &[(&format!("{names}.values"), &[another, 0, 0, 0])], &format!("{names}.sets"));
    }
    for numbers in ["years", "runtimes", "ages"] {
        check(&format!("{numbers}.known"), &all);
        check(&format!("{numbers}.digits"), &all);
        // Fewer are known than have digits.
        let known = format!("{numbers}.known");
        lie("catalogue.bin", &[(&known, &[0; 8])], &format!("{numbers}.digits"));
    }
    for set in ["adult", "not_adult", "tmdb_ids.known", "imdb_ratings.known", "imdb_votes.known"] {
        check(set, &all);
    }
    lie("catalogue.bin", &[("adult", &[1]), ("not_adult", &[1])], "not_adult");
}

#[test]
fn sections_that_lie_are_named() {
    let section = |name: &str, section: &str, bytes: &[u8]| lie(name, &[(section, bytes)], section);
    let (nan, huge) = (f32::NAN.to_le_bytes(), u32::MAX.to_le_bytes());
    section("graph.bin", "links", &huge);
    section("graph.bin", "offsets", &[9, 0, 0, 0]);
    section("graph.bin", "unit_scales", &nan);
    section("graph.bin", "scales", &nan);
    section("graph.bin", "members", &huge);
    section("user_scan.bin", "order", &huge);
    section("scan.bin", "order", &huge);
    section("scan.bin", "norms", &nan);
    section("histories.bin", "movies", &huge);
    section("histories.bin", "preferences", &nan);
    section("popularity.bin", "count_values", &(-1.0f32).to_le_bytes());
    section("popularity.bin", "parents", &[0, 0, 0, 0]);
    section("users.bin", "id_bytes", b"\xff");
    section("users.bin", "place_of", &[77, 0, 0, 0]);
    section("popularity.bin", "recent_counts", &(-1.0f32).to_le_bytes());
    section("popularity.bin", "recent_counts", &nan);
    section("movie_factors.bin", "gramian", &nan);
    section("movie_factors.bin", "mean", &nan);
    section("user_factors.bin", "factors", &f32::INFINITY.to_le_bytes());
}

/// A film without an embedding, of which the scan alone says that it has one.
#[test]
fn a_scan_and_a_graph_that_contradict_each_other_are_refused() {
    let mut world = World::new(40, 9, 4);
    world.factors.row_mut(3).fill(0.0);
    let mut forgery = Forgery::of(&world);
    let mut stage = Stage::new(&forgery);
    forgery.overwrite("scan.bin", "norms", &1e-3f32.to_le_bytes().repeat(40));
    forgery.seal("scan.bin");
    let refused = stage.open_sealed(&forgery).map(drop).unwrap_err().to_string();
    assert!(refused.contains("graph.bin: section node_of_movie: contradicts"), "{refused}");
}

#[test]
fn parts_that_do_not_fit_are_refused_before_anything_is_written() {
    let check = |change: &dyn Fn(&mut World), expect: &str| {
        let directory = tempfile::tempdir().unwrap();
        let root = IndexRoot::new(directory.path());
        let mut world = World::new(30, 5, 4);
        change(&mut world);
        match world.build(&root) {
            Err(IndexError::Input(fault)) => assert!(fault.to_string().contains(expect), "{fault}"),
            other => panic!("{expect}: {other:?}"),
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    };
    check(&|world| world.factors.row_mut(3)[1] = f32::NAN, "movie factors, row 3");
    check(&|world| world.factors.row_mut(4)[1] = f32::INFINITY, "movie factors, row 4");
    check(&|world| world.factors.row_mut(4)[1] = 1e30, "movie factors, row 4");
    check(&|world| world.gramian.row_mut(2)[0] = f32::NAN, "gramian, row 2");
    check(&|world| world.mean[2] = f32::NAN, "mean of movie factors, row 2");
    check(&|world| world.mean.truncate(3), "mean of movie factors: 3 rows, expected 4");
    check(&|world| world.recent_counts[7] = -1.0, "recent likes, row 7");
    check(&|world| world.recent_counts.push(0.0), "recent likes: 31 rows, expected 30");
    check(&|world| world.settings.metric = Metric::Cosine, "gramian of unit vectors: 0 rows, expected 4");
    check(
        &|world| world.unit_gramian = Some(world.gramian.clone()),
        "gramian of unit vectors: 4 rows, expected 0",
    );
    check(&|world| world.user_factors.as_mut().unwrap().row_mut(1)[0] = f32::NAN, "user factors, row 1");
    check(&|world| world.settings.dimension = 5, "movie factors: dimension 4, the model has 5");
    check(&|world| world.movies.swap(1, 2), "movies, row 2");
    check(&|world| world.users[1] = world.users[0].clone(), "users, row 1");
    check(&|world| drop(world.movies.pop()), "movie factors: 30 rows, expected 29");
    check(&|world| world.movies.clear(), "there are no movies");
    check(&|world| drop(world.locations.pop()), "locations of users");
    check(&|world| world.histories.movies[0] = 30, "movies of histories, row 0");
    check(&|world| world.histories.offsets[1] = 99, "histories, row 1");
    check(&|world| world.histories.preferences[0] = f32::NAN, "preferences of histories, row 0");
    check(&|world| world.popularity.places[3].parent = Some(3), "place 3: a place comes after its parent");
    check(&|world| world.popularity.places[1].location = None, "place 1: only the first place is the world");
    check(&|world| world.popularity.places[1].location = "FR".parse().ok(), "place 2: its parent is not");
    check(&|world| world.popularity.prior[0] = f32::NAN, "prior");
    check(&|world| world.settings.dimension = 70_000, "dimension is 70000, allowed are 1 to 65536");
    check(&|world| world.options.connections = 300, "connections is 300, allowed are 4 to 64");
    assert_eq!(InputFault::NoMovies.to_string(), "there are no movies");
}
