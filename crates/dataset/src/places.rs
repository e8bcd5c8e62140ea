//! From a US postal code to a place: `94103` is `US/CA`. It knows states and territories, not cities, and no other country.

use cinedex_domain::Location;

/// First three digits, both ends inclusive, and the state or territory. Military mail (AA, AE, AP) has no place and is
/// left out, and so are prefixes that are not in use. Ascending.
#[rustfmt::skip]
const STATES: &[(u16, u16, &str)] = &[
    (5, 5, "NY"), (6, 7, "PR"), (8, 8, "VI"), (9, 9, "PR"), (10, 27, "MA"), (28, 29, "RI"), (30, 38, "NH"),
    (39, 49, "ME"), (50, 54, "VT"), (55, 55, "MA"), (56, 59, "VT"), (60, 69, "CT"), (70, 89, "NJ"),
    (100, 149, "NY"), (150, 196, "PA"), (197, 199, "DE"), (200, 200, "DC"), (201, 201, "VA"),
    (202, 205, "DC"), (206, 219, "MD"), (220, 246, "VA"), (247, 268, "WV"), (270, 289, "NC"),
    (290, 299, "SC"), (300, 319, "GA"), (320, 339, "FL"), (341, 349, "FL"), (350, 369, "AL"),
    (370, 385, "TN"), (386, 397, "MS"), (398, 399, "GA"), (400, 427, "KY"), (430, 459, "OH"),
    (460, 479, "IN"), (480, 499, "MI"), (500, 528, "IA"), (530, 549, "WI"), (550, 567, "MN"),
    (569, 569, "DC"), (570, 577, "SD"), (580, 588, "ND"), (590, 599, "MT"), (600, 629, "IL"),
    (630, 658, "MO"), (660, 679, "KS"), (680, 693, "NE"), (700, 714, "LA"), (716, 729, "AR"),
    (730, 732, "OK"), (733, 733, "TX"), (734, 749, "OK"), (750, 799, "TX"), (800, 816, "CO"),
    (820, 831, "WY"), (832, 838, "ID"), (840, 847, "UT"), (850, 865, "AZ"), (870, 884, "NM"),
    (885, 885, "TX"), (889, 898, "NV"), (900, 961, "CA"), (967, 968, "HI"), (969, 969, "GU"),
    (970, 979, "OR"), (980, 994, "WA"), (995, 999, "AK"),
];

/// The place of a US postal code: five digits, or ZIP+4 with or without its hyphen, of which the first five count. None for
/// anything else, for military mail, and for a prefix that no state uses.
pub(crate) fn place_of_zip(code: &str) -> Option<Location> {
    let prefix = zip_prefix(code.trim())?;
    let at = STATES.partition_point(|&(_, last, _)| last < prefix);
    let &(first, _, state) = STATES.get(at)?;
    if prefix < first {
        return None;
    }
    format!("US/{state}").parse().ok()
}

/// The first three digits of a well-formed code.
fn zip_prefix(code: &str) -> Option<u16> {
    let digits =
        |text: &str, count: usize| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    let well_formed = match code.split_once('-') {
        Some((zip, extension)) => digits(zip, 5) && digits(extension, 4),
        None => digits(code, 5) || digits(code, 9),
    };
    if well_formed { code[..3].parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(code: &str, expect: Option<&str>) {
        assert_eq!(place_of_zip(code).as_ref().map(Location::as_str), expect, "{code}");
    }

    #[test]
    fn a_code_is_placed_by_its_first_three_digits() {
        check("94103", Some("US/CA"));
        check("00501", Some("US/NY"));
        check("10001", Some("US/NY"));
        check("99950", Some("US/AK"));
        check("00901", Some("US/PR"));
        check("00801", Some("US/VI"));
        check("96910", Some("US/GU"));
        check("20500", Some("US/DC"));
    }

    #[test]
    fn zip_plus_four_counts_its_first_five() {
        check("98107-2117", Some("US/WA"));
        check("193122042", Some("US/PA"));
        check(" 55105 ", Some("US/MN"));
    }

    #[test]
    fn the_military_the_unused_and_the_malformed_have_no_place() {
        for code in [
            "09001",
            "34001",
            "96201",
            "00000",
            "00401",
            "T8H1N",
            "345567",
            "5849574",
            "9810",
            "",
            "98107-21",
            "９８１０７",
        ] {
            check(code, None);
        }
    }

    #[test]
    fn the_table_ascends_without_overlap() {
        assert!(STATES.windows(2).all(|pair| pair[0].1 < pair[1].0));
        assert!(STATES.iter().all(|&(first, last, _)| first <= last && last < 1000));
    }

    #[test]
    fn the_table_agrees_with_the_shared_facts() {
        let Some(shared) = std::env::var_os("CINEDEX_SHARED") else {
            eprintln!("skipped: CINEDEX_SHARED is not set");
            return;
        };
        let path = std::path::Path::new(&shared).join("datasets/us-zip3-state.csv");
        let text = std::fs::read_to_string(path).unwrap();
        let mut expect = vec![None; 1000];
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split(',').collect();
            let (first, last): (usize, usize) = (fields[0].parse().unwrap(), fields[1].parse().unwrap());
            if !["AA", "AE", "AP"].contains(&fields[2]) {
                expect[first..=last].fill(Some(format!("US/{}", fields[2])));
            }
        }
        for (prefix, expect) in expect.iter().enumerate() {
            check(&format!("{prefix:03}01"), expect.as_deref());
        }
    }

    proptest! {
        #[test]
        fn any_text_is_accepted(code in "\\PC{0,12}") {
            place_of_zip(&code);
        }
    }
}
