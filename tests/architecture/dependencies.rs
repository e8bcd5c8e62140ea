//! Licences and sources of everything that is built into the binary or its tests.

use crate::metadata;

/// Licences that may be linked into an Apache-2.0 program without further duties than naming them.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Whether an SPDX expression of `AND`, `OR` and parentheses can be met by allowed licences alone.
fn allowed(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let spaced = spaced.replace(" WITH ", "-with-");
    let mut tokens = spaced.split_whitespace().collect::<Vec<_>>().into_iter().peekable();
    either(&mut tokens)
}

type Tokens<'a> = std::iter::Peekable<std::vec::IntoIter<&'a str>>;

fn either(tokens: &mut Tokens<'_>) -> bool {
    let mut met = both(tokens);
    while tokens.next_if_eq(&"OR").is_some() {
        met |= both(tokens);
    }
    met
}

fn both(tokens: &mut Tokens<'_>) -> bool {
    let mut met = one(tokens);
    while tokens.next_if_eq(&"AND").is_some() {
        met &= one(tokens);
    }
    met
}

fn one(tokens: &mut Tokens<'_>) -> bool {
    match tokens.next() {
        Some("(") => {
            let met = either(tokens);
            assert_eq!(tokens.next(), Some(")"));
            met
        }
        Some(name) => LICENCES.contains(&name.replace("-with-", " WITH ").as_str()),
        None => false,
    }
}

#[test]
fn an_expression_is_met_as_spdx_says() {
    assert!(allowed("MIT OR Apache-2.0"));
    assert!(allowed("(MIT OR GPL-3.0-only) AND Unicode-3.0"));
    assert!(allowed("Apache-2.0 WITH LLVM-exception"));
    assert!(!allowed("GPL-3.0-only"));
    assert!(!allowed("MIT AND GPL-3.0-only"));
}

#[test]
fn every_dependency_has_an_allowed_licence_and_comes_from_the_registry() {
    let metadata = metadata(true);
    let ours: Vec<_> = metadata.workspace_members.clone();
    let mut count = 0;
    for package in metadata.packages.iter().filter(|package| !ours.contains(&package.id)) {
        let licence = package.license.as_deref().unwrap_or_default();
        assert!(allowed(licence), "{} {} is under \"{licence}\"", package.name, package.version);
        let source = package.source.as_ref().map(ToString::to_string).unwrap_or_default();
        assert!(source.starts_with("registry+"), "{} comes from \"{source}\"", package.name);
        count += 1;
    }
    assert!(count > 50, "only {count} dependencies seen: the check did not look");
}
