//! Sizes and heads of our own files, and the files in which a dangerous thing may stand.

use std::path::{Path, PathBuf};

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::root;

const FILE_LINES: usize = 600;
const FUNCTION_LINES: usize = 70;
const MAIN_LINES: usize = 40;

fn rust_files() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    for top in ["crates", "tests", "benches"] {
        collect(&root().join(top), &mut files);
    }
    assert!(files.len() > 30, "only {} files seen: the check did not look", files.len());
    files.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

#[test]
fn files_open_with_their_purpose_and_stay_short() {
    for (path, text) in rust_files() {
        assert!(text.starts_with("//!"), "{} does not open with //!", path.display());
        let limit = if path.ends_with("main.rs") && path.parent().unwrap().ends_with("src") {
            MAIN_LINES
        } else {
            FILE_LINES
        };
        let lines = text.lines().count();
        assert!(lines <= limit, "{} has {lines} lines, at most {limit} are allowed", path.display());
    }
}

struct Functions<'a> {
    path: &'a Path,
    too_long: Vec<String>,
}

impl Functions<'_> {
    fn check(&mut self, name: &syn::Ident, block: &syn::Block) {
        let lines = block.span().end().line - block.span().start().line + 1;
        if lines > FUNCTION_LINES {
            self.too_long.push(format!("{}: fn {name} has {lines} lines", self.path.display()));
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.check(&function.sig.ident, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.check(&function.sig.ident, &function.block);
        visit::visit_impl_item_fn(self, function);
    }
}

#[test]
fn functions_stay_short() {
    let mut too_long = Vec::new();
    for (path, text) in rust_files() {
        let mut functions = Functions { path: &path, too_long: Vec::new() };
        functions.visit_file(&syn::parse_file(&text).unwrap());
        too_long.append(&mut functions.too_long);
    }
    assert!(too_long.is_empty(), "at most {FUNCTION_LINES} lines a function:\n{}", too_long.join("\n"));
}

/// Files under `crates/` outside the tests in which `needle` stands.
fn files_with(needle: &str) -> Vec<String> {
    let top = root();
    let mut found: Vec<String> = rust_files()
        .into_iter()
        .filter(|(path, text)| path.starts_with(top.join("crates")) && text.contains(needle))
        .map(|(path, _)| path.strip_prefix(&top).unwrap().display().to_string())
        .collect();
    found.sort();
    found
}

#[test]
fn dangerous_things_stand_in_one_place() {
    assert_eq!(files_with(concat!("hnsw_rs", "::")).len(), 1, "hnsw_rs is used in one file");
    assert_eq!(files_with(concat!("moka", "::")).len(), 1, "moka is used in one file");
    for path in files_with(concat!("unsafe", " {")) {
        let allowed = path.starts_with("crates/vectors/") || path.starts_with("crates/index/");
        assert!(allowed, "{path} may not be unsafe");
    }
}

#[test]
fn nothing_is_left_open() {
    for mark in
        [concat!("todo", "!("), concat!("unimplemented", "!("), concat!("FIX", "ME"), concat!("XX", "X")]
    {
        assert_eq!(files_with(mark), Vec::<String>::new(), "{mark} is left in the code");
    }
}
