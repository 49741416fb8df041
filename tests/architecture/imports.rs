//! Which module refers to which: every path of the sources, as the compiler would resolve it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::Visit;
use syn::{Attribute, Item, ItemMod, Macro, UseTree};

/// A module, outermost room first: `["load", "recorder", "channel"]`.
pub(crate) type Module = Vec<String>;

/// One reference from a file to a module.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reference {
    /// The module of the file that refers.
    pub(crate) from: Module,
    /// The innermost module that is a file.
    pub(crate) to: Module,
    /// Whether it stands in code that only tests compile.
    pub(crate) is_test: bool,
}

/// Returns the Rust files of the rooms; `lib.rs` and `main.rs` are doors, not rooms.
pub(crate) fn sources() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(), &mut found);
    found.retain(|path| !path.ends_with("src/lib.rs") && !path.ends_with("src/main.rs"));
    found.sort();
    found
}

/// Returns the module that a file is.
pub(crate) fn module_of(path: &Path) -> Module {
    let inside = path.strip_prefix(root()).unwrap().with_extension("");
    let mut module: Module = inside.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if module.last().is_some_and(|name| name == "mod") {
        module.pop();
    }
    module
}

/// Returns every reference between two files of the rooms.
pub(crate) fn references() -> BTreeSet<Reference> {
    let texts: Vec<_> =
        sources().iter().map(|path| (module_of(path), fs::read_to_string(path).unwrap())).collect();
    references_of(&texts)
}

/// Returns every reference between modules whose texts are given.
pub(crate) fn references_of(texts: &[(Module, String)]) -> BTreeSet<Reference> {
    let files: BTreeMap<Module, syn::File> = texts
        .iter()
        .map(|(module, text)| {
            let file = syn::parse_file(text);
            (module.clone(), file.unwrap_or_else(|error| panic!("{module:?}: {error}")))
        })
        .collect();
    let modules: BTreeSet<Module> = files.keys().cloned().collect();
    let mut exports = BTreeMap::new();
    for (module, file) in &files {
        for item in &file.items {
            let Item::Use(item) = item else { continue };
            if matches!(item.vis, syn::Visibility::Inherited) {
                continue;
            }
            for (path, name) in leaves(&item.tree) {
                if let Some(path) = absolute(&path, module, &modules) {
                    exports.insert((module.clone(), name), path);
                }
            }
        }
    }
    let mut found = BTreeSet::new();
    for (module, file) in &files {
        let mut finder = Finder {
            from: module,
            inside: module.clone(),
            modules: &modules,
            exports: &exports,
            is_test: module.iter().any(|part| part == "tests"),
            found: &mut found,
        };
        finder.visit_file(file);
    }
    found
}

struct Finder<'a> {
    from: &'a Module,
    /// The module at the place that is looked at, which may be inline.
    inside: Module,
    modules: &'a BTreeSet<Module>,
    /// What modules export under which name.
    exports: &'a BTreeMap<(Module, String), Module>,
    is_test: bool,
    found: &'a mut BTreeSet<Reference>,
}

impl Finder<'_> {
    fn refer(&mut self, path: &[String]) {
        let Some(mut path) = absolute(path, &self.inside, self.modules) else { return };
        // An exported name belongs to the module that defines it. Bounded: exports are finite.
        for _ in 0..8 {
            let Some(to) = innermost(&path, self.modules) else { return };
            let next = path.get(to.len()).map(|name| (to.clone(), name.clone()));
            match next.and_then(|key| self.exports.get(&key)) {
                Some(real) if *real != path => path.clone_from(real),
                _ => {
                    if to != *self.from {
                        let (from, is_test) = (self.from.clone(), self.is_test);
                        self.found.insert(Reference { from, to, is_test });
                    }
                    return;
                }
            }
        }
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let was_test = self.is_test;
        self.is_test |= attributes(item).iter().any(is_test_only);
        syn::visit::visit_item(self, item);
        self.is_test = was_test;
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if item.content.is_some() {
            self.inside.push(item.ident.to_string());
            syn::visit::visit_item_mod(self, item);
            self.inside.pop();
        }
    }

    fn visit_use_tree(&mut self, tree: &'ast UseTree) {
        for (path, _) in leaves(tree) {
            self.refer(&path);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<_> = path.segments.iter().map(|part| part.ident.to_string()).collect();
        self.refer(&names);
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        // What a macro is given is no syntax tree: paths are read from its words.
        let words = call.tokens.to_string();
        let words: Vec<_> = words
            .split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':' || c == ' '))
            .collect();
        for stretch in words {
            let joined = stretch.replace(" :: ", "::").replace(" ::", "::").replace(":: ", "::");
            for path in joined.split_whitespace().filter(|word| word.contains("::")) {
                let path: Vec<_> = path.split("::").map(str::to_owned).collect();
                self.refer(&path);
            }
        }
        syn::visit::visit_macro(self, call);
    }
}

/// Returns the path from the crate's root; `None` for what other crates hold.
fn absolute(path: &[String], inside: &Module, modules: &BTreeSet<Module>) -> Option<Module> {
    let (first, rest) = path.split_first()?;
    let mut base = match first.as_str() {
        "crate" => Module::new(),
        "self" => inside.clone(),
        "super" => inside[..inside.len().checked_sub(1)?].to_vec(),
        name => {
            let child = [inside.as_slice(), &[name.to_owned()]].concat();
            if !modules.contains(&child) {
                return None;
            }
            child
        }
    };
    for part in rest {
        if part == "super" {
            base.pop()?;
        } else {
            base.push(part.clone());
        }
    }
    Some(base)
}

fn innermost(path: &[String], modules: &BTreeSet<Module>) -> Option<Module> {
    (1..=path.len()).rev().map(|n| path[..n].to_vec()).find(|module| modules.contains(module))
}

/// Returns each path of a `use`, with the name that it gets.
fn leaves(tree: &UseTree) -> Vec<(Vec<String>, String)> {
    match tree {
        UseTree::Path(path) => {
            let head = path.ident.to_string();
            leaves(&path.tree)
                .into_iter()
                .map(|(mut rest, name)| {
                    let name = if name == "self" { head.clone() } else { name };
                    rest.retain(|part| part != "self");
                    rest.insert(0, head.clone());
                    (rest, name)
                })
                .collect()
        }
        UseTree::Name(name) => vec![(vec![name.ident.to_string()], name.ident.to_string())],
        UseTree::Rename(name) => vec![(vec![name.ident.to_string()], name.rename.to_string())],
        UseTree::Glob(_) => vec![(Vec::new(), "*".to_owned())],
        UseTree::Group(group) => group.items.iter().flat_map(leaves).collect(),
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Mod(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Const(item) => &item.attrs,
        _ => &[],
    }
}

fn is_test_only(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute.parse_args::<syn::Ident>().is_ok_and(|word| word == "test")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}
