//! A model on disk: `model.json` and one Parquet table each for movies and users. The contract with every trainer: what has
//! these columns is read, whoever wrote it, and whatever `model.json` does not say is taken for a foreign model's.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use cinedex_domain::{
    BlendSettings, Metric, ModelSettings, MovieId, PreferencePolicy, RatingScale, UserId, compare_ids,
};
use cinedex_storage::{
    AtomicDirectory, EmbeddingColumns, Embeddings, read_embeddings, sha256_file, write_embeddings,
    write_file_atomically,
};
use cinedex_vectors::Matrix;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::ModelError;

/// Version of `model.json` that is written; another is refused.
pub const MODEL_FORMAT_VERSION: u32 = 2;

const MANIFEST_FILE: &str = "model.json";
const MOVIES_FILE: &str = "movie_embeddings.parquet";
const USERS_FILE: &str = "user_embeddings.parquet";

/// `model.json`: settings on the top level beside where the model comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelManifest {
    /// [`MODEL_FORMAT_VERSION`].
    pub format_version: u32,
    /// Name of the model.
    pub name: String,
    /// When it was trained, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// What serving needs: algorithm, dimension, metric, fold-in, blend, preferences.
    #[serde(flatten)]
    pub settings: ModelSettings,
    /// Hyper-parameters of the trainer, as it calls them.
    pub parameters: Value,
    /// What it was trained on; `None` for a foreign model that does not say.
    pub data_set: Option<DataSetReference>,
    /// Figures of an evaluation, by whatever names; null without.
    #[serde(default)]
    pub evaluation: Value,
    /// SHA-256 of the tables beside it, by file name; what stands here is checked when the model is read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tables: BTreeMap<String, String>,
}

impl ModelManifest {
    /// Reads `model.json` of a model's directory, without its tables.
    pub fn read(directory: &Path) -> Result<Self, ModelError> {
        let path = directory.join(MANIFEST_FILE);
        let bytes =
            std::fs::read(&path).map_err(|source| ModelError::Unreadable { path: path.clone(), source })?;
        serde_json::from_slice(&bytes).map_err(|source| malformed(&path, source))
    }

    /// SHA-256 of the manifest as it is written, lower-case hex.
    pub fn sha256(&self) -> String {
        let bytes = serde_json::to_vec_pretty(self).expect("a manifest was made from JSON or is plain data");
        cinedex_storage::sha256_bytes(&bytes)
    }
}

/// A data set by name and content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSetReference {
    /// Its name.
    pub name: String,
    /// SHA-256 of its interactions, lower-case hex.
    pub sha256: String,
}

/// The columns of the two tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelColumns {
    /// Columns of the movies' table.
    pub movies: EmbeddingColumns,
    /// Columns of the users' table.
    pub users: EmbeddingColumns,
}

impl Default for ModelColumns {
    fn default() -> Self {
        Self { movies: EmbeddingColumns::movies(), users: EmbeddingColumns::users() }
    }
}

/// Embeddings with what is needed to serve them.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Settings and origin.
    pub manifest: ModelManifest,
    /// Ids of the movies, in canonical order.
    pub movie_ids: Vec<MovieId>,
    /// `movie_ids.len() × dimension`, finite.
    pub movie_factors: Matrix,
    /// Users in canonical order and their `len × dimension` factors; `None` where the model has none.
    pub users: Option<(Vec<UserId>, Matrix)>,
}

impl Model {
    /// Writes the model as `directory`, atomically; a model that is there is replaced.
    pub fn write(&self, directory: &Path) -> Result<(), ModelError> {
        let target = AtomicDirectory::create(directory)?;
        let movies = embeddings(self.movie_ids.iter().map(MovieId::as_str), &self.movie_factors);
        write_embeddings(&target.path().join(MOVIES_FILE), "movie_id", &movies)?;
        if let Some((ids, factors)) = &self.users {
            let users = embeddings(ids.iter().map(UserId::as_str), factors);
            write_embeddings(&target.path().join(USERS_FILE), "user_id", &users)?;
        }
        let mut manifest = self.manifest.clone();
        manifest.tables.clear();
        for file in [MOVIES_FILE, USERS_FILE] {
            let path = target.path().join(file);
            if path.exists() {
                manifest.tables.insert(file.to_owned(), sha256_file(&path)?);
            }
        }
        let path = target.path().join(MANIFEST_FILE);
        let bytes = serde_json::to_vec_pretty(&manifest).map_err(|source| malformed(&path, source))?;
        write_file_atomically(&path, &bytes)?;
        target.commit_replace()?;
        Ok(())
    }

    /// Reads a model's directory. Without `model.json`, or where it leaves something out, the model is foreign: inner
    /// product, no fold-in, no popularity blended in. Tables are files or directories of part files; that of users may be
    /// absent. Rows are put into the canonical order of ids.
    pub fn read(directory: &Path, columns: &ModelColumns) -> Result<Self, ModelError> {
        let movies = directory.join(MOVIES_FILE);
        let users = directory.join(USERS_FILE);
        let users = users.exists().then_some(users.as_path());
        let model = Self::from_tables(&movies, users, Some(&directory.join(MANIFEST_FILE)), columns)?;
        for (file, expected) in &model.manifest.tables {
            let path = directory.join(file);
            let found = sha256_file(&path)?;
            if found != *expected {
                return Err(ModelError::AlteredTable { path, found, expected: expected.clone() });
            }
        }
        Ok(model)
    }

    /// Reads tables that lie anywhere, with or without a manifest; as [`read`](Self::read).
    pub fn from_tables(
        movies: &Path,
        users: Option<&Path>,
        manifest: Option<&Path>,
        columns: &ModelColumns,
    ) -> Result<Self, ModelError> {
        let movie_table = read_embeddings(movies, &columns.movies)?;
        let dimension = movie_table.dimension;
        let manifest = read_manifest(manifest, movies, dimension)?;
        if manifest.settings.dimension != dimension {
            return Err(ModelError::UnequalDimensions {
                path: movies.to_owned(),
                found: dimension,
                expected: manifest.settings.dimension,
                reference: MANIFEST_FILE,
            });
        }
        let (movie_ids, movie_factors) = in_order(movies, movie_table, MovieId::new)?;
        let users = match users {
            None => None,
            Some(path) => {
                let table = read_embeddings(path, &columns.users)?;
                if table.dimension != dimension {
                    return Err(ModelError::UnequalDimensions {
                        path: path.to_owned(),
                        found: table.dimension,
                        expected: dimension,
                        reference: "the movies' table",
                    });
                }
                Some(in_order(path, table, UserId::new)?)
            }
        };
        Ok(Self { manifest, movie_ids, movie_factors, users })
    }
}

fn embeddings<'a>(ids: impl Iterator<Item = &'a str>, factors: &Matrix) -> Embeddings {
    Embeddings {
        ids: ids.map(str::to_owned).collect(),
        dimension: factors.dimension(),
        values: factors.as_slice().to_vec(),
    }
}

/// Checks the ids and sorts the rows by them.
fn in_order<I>(
    path: &Path,
    table: Embeddings,
    check: impl Fn(&str) -> Result<I, cinedex_domain::DomainError>,
) -> Result<(Vec<I>, Matrix), ModelError> {
    let mut order: Vec<usize> = (0..table.ids.len()).collect();
    order.sort_by(|&a, &b| compare_ids(&table.ids[a], &table.ids[b]));
    let mut factors = Matrix::zeros(order.len(), table.dimension);
    let mut ids = Vec::with_capacity(order.len());
    for (row, &from) in order.iter().enumerate() {
        let unusable = |source| ModelError::UnusableId { path: path.to_owned(), source };
        ids.push(check(&table.ids[from]).map_err(unusable)?);
        factors.row_mut(row).copy_from_slice(&table.values[from * table.dimension..][..table.dimension]);
    }
    Ok((ids, factors))
}

fn read_manifest(path: Option<&Path>, movies: &Path, dimension: usize) -> Result<ModelManifest, ModelError> {
    let path = path.unwrap_or(Path::new(MANIFEST_FILE));
    let given = match std::fs::read(path) {
        Ok(bytes) => {
            serde_json::from_slice::<Map<String, Value>>(&bytes).map_err(|source| malformed(path, source))?
        }
        Err(source) if source.kind() == ErrorKind::NotFound => Map::new(),
        Err(source) => return Err(ModelError::Unreadable { path: path.to_owned(), source }),
    };
    let found = given.get("format_version").map_or(Some(u64::from(MODEL_FORMAT_VERSION)), Value::as_u64);
    if found != Some(u64::from(MODEL_FORMAT_VERSION)) {
        let (path, found) = (path.to_owned(), found.unwrap_or(0));
        return Err(ModelError::UnknownFormat { path, found, expected: MODEL_FORMAT_VERSION });
    }
    let name =
        movies.parent().and_then(Path::file_name).map_or("foreign".into(), |name| name.to_string_lossy());
    let mut whole = foreign_manifest(&name, dimension);
    whole.extend(given);
    serde_json::from_value(Value::Object(whole)).map_err(|source| malformed(path, source))
}

/// What is true of a model that says nothing of itself.
fn foreign_manifest(name: &str, dimension: usize) -> Map<String, Value> {
    let manifest = json!({
        "format_version": MODEL_FORMAT_VERSION,
        "name": name,
        "algorithm": "foreign",
        "dimension": dimension,
        "metric": Metric::InnerProduct,
        "fold_in": null,
        "blend": BlendSettings::NONE,
        "preference": PreferencePolicy::default(),
        "rating_scale": RatingScale::FIVE_STARS,
        "parameters": {},
        "data_set": null,
    });
    match manifest {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn malformed(path: &Path, source: serde_json::Error) -> ModelError {
    ModelError::MalformedManifest { path: path.to_owned(), source: Box::new(source) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::IalsParameters;

    fn model() -> Model {
        let parameters = IalsParameters::default();
        Model {
            manifest: ModelManifest {
                format_version: MODEL_FORMAT_VERSION,
                name: "default".into(),
                created: Some("2024-05-01T00:00:00Z".into()),
                settings: ModelSettings {
                    algorithm: "ials".into(),
                    dimension: 2,
                    metric: Metric::InnerProduct,
                    fold_in: Some(parameters.fold_in()),
                    blend: BlendSettings { popularity_weight: 0.5, ..BlendSettings::NONE },
                    preference: PreferencePolicy::default(),
                    rating_scale: RatingScale::FIVE_STARS,
                },
                parameters: serde_json::to_value(&parameters).unwrap(),
                data_set: Some(DataSetReference { name: "small".into(), sha256: "00".into() }),
                evaluation: json!({"ndcg@100": 0.4}),
                tables: BTreeMap::new(),
            },
            movie_ids: ["2", "10", "tt1"].iter().map(|id| MovieId::new(id).unwrap()).collect(),
            movie_factors: Matrix::from_packed(2, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
            users: Some((vec![UserId::new("u").unwrap()], Matrix::from_packed(2, [0.5, -0.5]))),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("default");
        let mut model = model();
        model.write(&directory).unwrap();
        let read = Model::read(&directory, &ModelColumns::default()).unwrap();
        model.manifest.tables.clone_from(&read.manifest.tables);
        assert_eq!(read, model);
        assert_eq!(ModelManifest::read(&directory).unwrap().sha256(), read.manifest.sha256());
        model.users = None;
        model.manifest.created = None;
        model.write(&directory).unwrap();
        model.manifest.tables.remove(USERS_FILE);
        assert_eq!(Model::read(&directory, &ModelColumns::default()).unwrap(), model);
    }

    #[test]
    fn a_table_that_was_altered_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("default");
        model().write(&directory).unwrap();
        let other = Embeddings { ids: vec!["2".into()], dimension: 2, values: vec![9.0, 9.0] };
        write_embeddings(&directory.join(MOVIES_FILE), "movie_id", &other).unwrap();
        let error = Model::read(&directory, &ModelColumns::default()).unwrap_err();
        assert!(matches!(error, ModelError::AlteredTable { .. }), "{error}");
    }

    #[test]
    fn the_manifest_has_its_settings_on_the_top_level() {
        let value = serde_json::to_value(model().manifest).unwrap();
        assert_eq!((&value["algorithm"], &value["dimension"]), (&json!("ials"), &json!(2)));
        assert_eq!(value["metric"], json!("inner_product"));
        assert!(value["fold_in"]["regularization"].is_number() && value["parameters"]["epochs"].is_number());
    }

    #[test]
    fn a_foreign_model_needs_no_manifest_and_is_put_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let ids = ["tt1", "10", "2"].map(str::to_owned).to_vec();
        let table = Embeddings { ids, dimension: 1, values: vec![3.0, 2.0, 1.0] };
        write_embeddings(&folder.path().join(MOVIES_FILE), "movie_id", &table).unwrap();
        let model = Model::read(folder.path(), &ModelColumns::default()).unwrap();
        assert_eq!(model.movie_ids.iter().map(MovieId::as_str).collect::<Vec<_>>(), ["2", "10", "tt1"]);
        assert_eq!(model.movie_factors.as_slice(), [1.0, 2.0, 3.0]);
        assert_eq!((model.manifest.settings.fold_in, model.users), (None, None));
        // A manifest may say as little as it knows.
        std::fs::write(
            folder.path().join(MANIFEST_FILE),
            r#"{"algorithm": "spark-als", "metric": "cosine"}"#,
        )
        .unwrap();
        let settings = Model::read(folder.path(), &ModelColumns::default()).unwrap().manifest.settings;
        assert_eq!((settings.algorithm.as_str(), settings.metric), ("spark-als", Metric::Cosine));
    }

    fn check_refused(manifest: &str, expect: &str) {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("m");
        model().write(&directory).unwrap();
        std::fs::write(directory.join(MANIFEST_FILE), manifest).unwrap();
        let message = Model::read(&directory, &ModelColumns::default()).unwrap_err().to_string();
        assert!(message.contains(expect), "{message}");
    }

    #[test]
    fn a_manifest_that_does_not_fit_is_refused() {
        check_refused("{\"format_version\": 1}", "model.json has format version 1, this program reads 2");
        check_refused("{\"dimension\": 3}", "has embeddings of 2 numbers, expected 3 as in model.json");
        check_refused("{\"metric\": \"l2\"}", "is not a model manifest: unknown variant");
        check_refused("{", "is not a model manifest: EOF");
    }
}
