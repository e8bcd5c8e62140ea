//! The data that benchmarks run on: the demo world, and MovieLens 1M where `CINEDEX_SHARED` says where the shared data is.
//! Made once under the target directory and used again.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each benchmark uses its part of this module")]

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use cinedex_dataset::{DataRoot, ImportOptions, MovieLensOptions, import_movielens};
use cinedex_domain::silent;
use cinedex_index::{Bundle, IndexRoot};
use cinedex_model::{Model, ModelColumns};
use cinedex_pipeline::{BuildRequest, build_and_publish, model_path, prepare_demo};

/// Nothing cancels a benchmark.
pub static NEVER: AtomicBool = AtomicBool::new(false);

/// One data set, trained and indexed.
pub struct World {
    /// `demo` or `ml-1m`.
    pub name: &'static str,
    /// Where its data set and model are.
    pub data: DataRoot,
    /// Where its bundle is.
    pub indexes: IndexRoot,
}

impl World {
    /// The live bundle.
    pub fn bundle(&self) -> Bundle {
        let version = self.indexes.current().expect("readable").expect("a live bundle");
        self.indexes.open(&version).expect("a good bundle")
    }

    /// A bundle of the same model that gives what was liked last this weight.
    pub fn bundle_with_recent(&self, weight: f32) -> Bundle {
        let path = |model: &str| model_path(&self.data, self.name, model).expect("a plain name");
        let mut model = Model::read(&path("ials"), &ModelColumns::default()).expect("a good model");
        "recent".clone_into(&mut model.manifest.name);
        model.manifest.settings.blend.recent_weight = weight;
        model.write(&path("recent")).expect("writable");
        let (dataset, name) = (self.name.to_owned(), "recent".to_owned());
        let request = BuildRequest { dataset, model: name, keep: 0, ..BuildRequest::default() };
        let indexes = IndexRoot::new(scratch().join("indexes").join(format!("{}-recent", self.name)));
        let report =
            build_and_publish(&self.data, &indexes, &request, &silent, &NEVER).expect("a bundle is built");
        indexes.open(&report.build.version).expect("a good bundle")
    }
}

/// Where benchmarks keep what they make.
pub fn scratch() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("benches")
}

/// The folder of the shared data, where there is one; set and missing is an error.
pub fn shared() -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os("CINEDEX_SHARED")?);
    assert!(path.is_dir(), "CINEDEX_SHARED is {}, which is not a folder", path.display());
    Some(path)
}

/// The demo world, and MovieLens 1M where it is there.
pub fn worlds() -> Vec<World> {
    let data = DataRoot::new(scratch().join("data"));
    let mut worlds = vec![world("demo", &data, None)];
    match shared() {
        Some(shared) => {
            if !data.exists("ml-1m").expect("readable") {
                let source = shared.join("datasets/ml-1m");
                let ratings = MovieLensOptions {
                    ratings: Some("user-movie-rating.dat".into()),
                    ..MovieLensOptions::default()
                };
                import_movielens(&data, "ml-1m", &source, &ImportOptions::default(), &ratings, &silent)
                    .expect("MovieLens 1M imports");
            }
            worlds.push(world("ml-1m", &data, Some("ml-1m")));
        }
        None => eprintln!("skipped: ml-1m, as CINEDEX_SHARED is not set"),
    }
    worlds
}

fn world(name: &'static str, data: &DataRoot, dataset: Option<&str>) -> World {
    let indexes = IndexRoot::new(scratch().join("indexes").join(name));
    prepare_demo(data, &indexes, dataset, &silent, &NEVER).expect("a world is made");
    World { name, data: data.clone(), indexes }
}
