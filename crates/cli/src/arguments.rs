//! The command line as data: every command, flag, unit and default.

use std::net::SocketAddr;
use std::path::PathBuf;

use cinedex_index::BuildOptions;
use cinedex_model::{EaseParameters, ItemKnnParameters};
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Movie recommendations from one binary: import interactions, train, index, serve.
#[derive(Debug, Parser)]
#[command(name = "cinedex", version, max_term_width = 110)]
pub(crate) struct Arguments {
    /// Folder of data sets and models [default: data].
    #[arg(long, global = true, env = "CINEDEX_DATA", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Folder of bundles and of the CURRENT pointer [default: indexes].
    #[arg(long, global = true, env = "CINEDEX_INDEXES", value_name = "DIR")]
    pub(crate) indexes: Option<PathBuf>,
    /// Folder of the log of what happens while serving [default: feedback, in the folder of data].
    #[arg(long, global = true, env = "CINEDEX_FEEDBACK", value_name = "DIR")]
    pub(crate) feedback: Option<PathBuf>,
    /// Configuration file [default: cinedex.toml, where it exists].
    #[arg(long, global = true, env = "CINEDEX_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print one JSON document instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Write the log to stderr as JSON lines; `CINEDEX_LOG` sets what is logged, for example "debug".
    #[arg(long, global = true, env = "CINEDEX_LOG_JSON")]
    pub(crate) log_json: bool,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Import, train, index and serve the embedded demo world (or a data set), and print what to try.
    Demo(DemoArguments),
    /// Import, download, enrich, list and show data sets.
    #[command(subcommand)]
    Dataset(DatasetCommand),
    /// Learn embeddings from a data set.
    Train(TrainArguments),
    /// Choose settings on a validation part, and train with them.
    Tune(TuneArguments),
    /// Judge models on held-out interactions.
    Evaluate(EvaluateArguments),
    /// Build, list, verify, activate and remove bundles.
    #[command(subcommand)]
    Index(IndexCommand),
    /// Films that are like a film.
    Similar {
        /// A movie id, or a title.
        movie: String,
        /// How many films.
        #[arg(short, long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
        k: u32,
    },
    /// Films for a user, or for someone who liked some films.
    Recommend(RecommendArguments),
    /// Films that are popular in a place.
    Popular {
        /// The place, for example US/CA; everywhere if left out.
        #[arg(long, value_name = "PLACE")]
        location: Option<String>,
        /// How many films.
        #[arg(short, long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
        k: u32,
    },
    /// People of like taste, and the cosine of the two embeddings.
    Neighbors {
        /// A user id.
        user: String,
        /// How many people.
        #[arg(short, long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
        k: u32,
    },
    /// Serve the live bundle over HTTP.
    Serve(ServeArguments),
}

/// Where from and how to serve the demo.
#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// Use this data set instead of the embedded world.
    #[arg(long, value_name = "NAME")]
    pub(crate) dataset: Option<String>,
    /// Prepare everything, print what to try, and stop without serving.
    #[arg(long)]
    pub(crate) prepare_only: bool,
    /// How to serve.
    #[command(flatten)]
    pub(crate) serve: ServeArguments,
}

/// Flags of `serve`; each overrides the environment, which overrides the configuration file.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ServeArguments {
    /// Address to listen on (`CINEDEX_BIND`) [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) bind: Option<SocketAddr>,
    /// Listen beyond loopback although no key protects the service (`CINEDEX_OPEN=true`).
    #[arg(long)]
    pub(crate) open: bool,
    /// Serve without the log of what happens: nothing is learned while serving, and what would change something is refused.
    #[arg(long)]
    pub(crate) read_only: bool,
    /// Any other setting of the server, see --print-config; its environment variable is `CINEDEX_` and FIELD in upper case.
    #[arg(long, value_name = "FIELD=VALUE")]
    pub(crate) set: Vec<String>,
    /// Print the configuration in force and stop.
    #[arg(long)]
    pub(crate) print_config: bool,
}

/// What to do with data sets.
#[derive(Debug, Subcommand)]
pub(crate) enum DatasetCommand {
    /// Read interactions, movies and users into a data set.
    #[command(subcommand)]
    Import(ImportCommand),
    /// Add facts to the movies of a data set.
    #[command(subcommand)]
    Enrich(EnrichCommand),
    /// Fetch a published data set and import it.
    Download(DownloadArguments),
    /// The data sets there are.
    List,
    /// Counts, ranges, coverage of fields and rejected rows of a data set.
    Show {
        /// Name of the data set.
        name: String,
    },
}

/// From which format to import.
#[derive(Debug, Subcommand)]
pub(crate) enum ImportCommand {
    /// A published MovieLens folder or zip: 100K, 1M, 10M, 20M, 25M, 32M, latest or latest-small.
    Movielens {
        /// The folder, or the zip as published.
        path: PathBuf,
        /// Another ratings file inside it, with or without the time (1M and 10M layouts).
        #[arg(long, value_name = "FILE")]
        ratings: Option<PathBuf>,
        /// Name and limits.
        #[command(flatten)]
        target: TargetArguments,
    },
    /// An app's own CSV files.
    Csv(TableArguments),
    /// An app's own Parquet files.
    Parquet(TableArguments),
    /// The embedded demo world: real films, simulated people.
    Demo {
        /// Seed of the simulation.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Name and limits.
        #[command(flatten)]
        target: TargetArguments,
    },
}

/// Where an import goes and what it tolerates.
#[derive(Debug, Args)]
pub(crate) struct TargetArguments {
    /// Name of the data set: lower-case letters, digits, dot, dash, underscore.
    #[arg(long)]
    pub(crate) name: String,
    /// Replace a data set of that name, atomically; its models stay.
    #[arg(long)]
    pub(crate) replace: bool,
    /// Share of rows that may be rejected before the import fails, 0 to 1.
    #[arg(long, default_value_t = 0.01, value_name = "SHARE")]
    pub(crate) max_rejected: f64,
}

/// An app's own tables and how their columns are called.
#[derive(Debug, Args)]
pub(crate) struct TableArguments {
    /// Files of interactions; a directory of Parquet part files is one of them.
    #[arg(required = true)]
    pub(crate) interactions: Vec<PathBuf>,
    /// File of movies.
    #[arg(long, value_name = "FILE")]
    pub(crate) movies: Option<PathBuf>,
    /// File of users.
    #[arg(long, value_name = "FILE")]
    pub(crate) users: Option<PathBuf>,
    /// Column names: FIELD=COLUMN, for example `user_id=customer` or `title=name`.
    #[arg(long = "column", value_name = "FIELD=COLUMN")]
    pub(crate) columns: Vec<String>,
    /// Kind of interactions where no column says it.
    #[arg(long, default_value = "rating")]
    pub(crate) kind: String,
    /// Lowest and highest rating; a rating off the scale is rejected [default: the range seen].
    #[arg(long, value_name = "LOWEST:HIGHEST")]
    pub(crate) scale: Option<String>,
    /// What a number in the time column counts.
    #[arg(long, value_enum, default_value_t = TimeUnit::Seconds)]
    pub(crate) time_unit: TimeUnit,
    /// Separator of CSV columns, one ASCII character.
    #[arg(long, default_value_t = ',')]
    pub(crate) delimiter: char,
    /// The CSV files have no header; columns are called 1, 2 and so on.
    #[arg(long)]
    pub(crate) no_header: bool,
    /// Separator within a cell that holds a list (genres, tags …).
    #[arg(long, default_value_t = '|')]
    pub(crate) list_separator: char,
    /// Name and limits.
    #[command(flatten)]
    pub(crate) target: TargetArguments,
}

/// What a number in a time column counts.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum TimeUnit {
    /// Seconds since 1970, UTC.
    Seconds,
    /// Milliseconds since 1970, UTC.
    Milliseconds,
}

/// From which source to add facts.
#[derive(Debug, Subcommand)]
pub(crate) enum EnrichCommand {
    /// IMDb's title.basics, title.ratings and title.akas, plain or gzip, joined on `imdb_id`.
    Imdb {
        /// Folder with the files.
        path: PathBuf,
        /// Name of the data set.
        #[arg(long)]
        name: String,
    },
}

/// What to fetch and where from.
#[derive(Debug, Args)]
pub(crate) struct DownloadArguments {
    /// Which data set.
    #[arg(value_parser = ["ml-latest-small"])]
    pub(crate) what: String,
    /// Name of the data set [default: the same].
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Replace a data set of that name, atomically; its models stay.
    #[arg(long)]
    pub(crate) replace: bool,
    /// Fetch from this address instead of GroupLens.
    #[arg(long, env = "CINEDEX_DOWNLOAD_URL", value_name = "URL")]
    pub(crate) url: Option<String>,
}

/// Settings of the trainer; what is left out has a default that suits most data sets.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct TrainerArguments {
    /// Length of an embedding [default: 128].
    #[arg(long)]
    pub(crate) dim: Option<usize>,
    /// Passes over users and movies [default: 16].
    #[arg(long)]
    pub(crate) epochs: Option<usize>,
    /// Regularisation, scaled by frequency; 0 chooses by the number of users [default: 0].
    #[arg(long)]
    pub(crate) regularization: Option<f32>,
    /// Weight of each unobserved pair.
    #[arg(long)]
    pub(crate) unobserved_weight: Option<f32>,
    /// Exponent with which regularisation follows frequency.
    #[arg(long)]
    pub(crate) frequency_exponent: Option<f32>,
    /// Seed of the initial embeddings.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Threads; 0 is one a core [default: 0].
    #[arg(long)]
    pub(crate) threads: Option<usize>,
    /// Days after which an interaction counts half [default: age does not matter].
    #[arg(long, value_name = "DAYS")]
    pub(crate) half_life_days: Option<f32>,
}

/// What to train.
#[derive(Debug, Args)]
pub(crate) struct TrainArguments {
    /// Name of the data set.
    pub(crate) name: String,
    /// Name of the model.
    #[arg(long, default_value = "ials")]
    pub(crate) model: String,
    /// Leave films without interactions without an embedding, instead of learning one from genres, year, tags and the like.
    #[arg(long)]
    pub(crate) no_metadata: bool,
    /// First find the number of epochs, up to --epochs, on users held out for it.
    #[arg(long)]
    pub(crate) early_stopping: bool,
    /// Keep where a long training is this often; the same command goes on from there after an interruption.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub(crate) checkpoint_seconds: u64,
    /// Leave out what `tune` has chosen for this model; single settings are overridden by their flags.
    #[arg(long)]
    pub(crate) untuned: bool,
    /// Settings.
    #[command(flatten)]
    pub(crate) trainer: TrainerArguments,
}

/// How a data set is split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProtocolName {
    /// Users of the test are unknown in training; part of what they liked is folded in.
    Strong,
    /// The last tenth by time is the test, for users and movies known from before.
    Temporal,
    /// A tenth of the films with enough likes is unknown in training: found by metadata, and by few interactions.
    ColdMovies,
    /// Of users nothing is known but place, gender and age: what is popular in their groups.
    ColdUsers,
}

/// For which protocol settings are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TunedProtocol {
    /// Users unknown in training.
    Strong,
    /// What known users like last.
    Temporal,
}

/// What to tune, on what and how long.
#[derive(Debug, Args)]
pub(crate) struct TuneArguments {
    /// Name of the data set; or use --train.
    #[arg(required_unless_present = "train", conflicts_with = "train")]
    pub(crate) name: Option<String>,
    /// How settings are judged.
    #[arg(long, value_enum, default_value_t = TunedProtocol::Strong)]
    pub(crate) protocol: TunedProtocol,
    /// Name of the model.
    #[arg(long, default_value = "ials")]
    pub(crate) model: String,
    /// CSV to train on: user, item, and the time if there is a third column; without validation files its last part by time
    /// is what settings are judged on.
    #[arg(long, value_name = "FILE")]
    pub(crate) train: Option<PathBuf>,
    /// CSV of what is folded in for each user of the validation.
    #[arg(long, value_name = "FILE", requires_all = ["train", "validation_held_out"])]
    pub(crate) validation_fold_in: Option<PathBuf>,
    /// CSV of what is to be found of them.
    #[arg(long, value_name = "FILE", requires_all = ["train", "validation_fold_in"])]
    pub(crate) validation_held_out: Option<PathBuf>,
    /// With --train: write what was chosen to this file as JSON, and keep trials beside it.
    #[arg(long, value_name = "FILE", requires = "train")]
    pub(crate) output: Option<PathBuf>,
    /// Seconds of the search, those of an interrupted one included [default: 120].
    #[arg(long, value_name = "SECONDS", conflicts_with = "trials")]
    pub(crate) budget_seconds: Option<f64>,
    /// Trials of the search instead, which makes it depend on the seed alone.
    #[arg(long, value_name = "COUNT")]
    pub(crate) trials: Option<usize>,
    /// Least share of the films that lists must show, 0 to 1: those of the users who are judged, over time of the thousand who
    /// were active last.
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    pub(crate) min_coverage: f64,
    /// Weight of what was liked last, in standard deviations of taste, instead of searching it.
    #[arg(long, value_name = "WEIGHT")]
    pub(crate) recent_weight: Option<f32>,
    /// Share of the likes, the last by time, that counts as recent, instead of searching it.
    #[arg(long, value_name = "SHARE")]
    pub(crate) recent_share: Option<f32>,
    /// Search only: do not train a model with what was chosen.
    #[arg(long)]
    pub(crate) no_train: bool,
    /// Settings that are given are not searched.
    #[command(flatten)]
    pub(crate) trainer: TrainerArguments,
}

/// What to judge, on what.
#[derive(Debug, Args)]
pub(crate) struct EvaluateArguments {
    /// Name of the data set to split; or use --train and --held-out.
    #[arg(required_unless_present = "train", conflicts_with = "train")]
    pub(crate) name: Option<String>,
    /// How the data set is split.
    #[arg(long, value_enum, default_value_t = ProtocolName::Strong)]
    pub(crate) protocol: ProtocolName,
    /// Learn from and fold in all ratings, graded, as `train` does; published figures use likes alone.
    #[arg(long, conflicts_with = "train")]
    pub(crate) graded: bool,
    /// CSV to train on: user, item, and the time if there is a third column; a column called rating grades.
    #[arg(long, value_name = "FILE", requires = "held_out")]
    pub(crate) train: Option<PathBuf>,
    /// CSV of what is folded in for each held-out user; without it users are known (temporal).
    #[arg(long, value_name = "FILE", requires = "train")]
    pub(crate) fold_in: Option<PathBuf>,
    /// CSV of what is to be found; read only when models are judged.
    #[arg(long, value_name = "FILE", requires = "train")]
    pub(crate) held_out: Option<PathBuf>,
    /// CSV of what is folded in for each validation user: iALS then stops at its best epoch on them, up to --epochs.
    #[arg(long, value_name = "FILE", requires_all = ["train", "validation_held_out"])]
    pub(crate) validation_fold_in: Option<PathBuf>,
    /// CSV of what validation users are to find.
    #[arg(long, value_name = "FILE", requires_all = ["train", "validation_fold_in"])]
    pub(crate) validation_held_out: Option<PathBuf>,
    /// Models: ials, ials-likes (of likes alone, where ratings grade), ease, item-knn, popularity, recent-popularity, blend;
    /// repeat it to compare with the first.
    #[arg(long = "model", default_values_t = [String::from("ials")])]
    pub(crate) models: Vec<String>,
    /// Judge the engine as this bundle serves it, beside the models; what it was trained on is not held out from it.
    #[arg(long, value_name = "VERSION")]
    pub(crate) bundle: Option<String>,
    /// Share of likes, the last by time, that recent-popularity and blend count.
    #[arg(long, default_value_t = 0.1, value_name = "SHARE")]
    pub(crate) recent_share: f64,
    /// Weight of recent popularity in blend, in standard deviations of a user's taste.
    #[arg(long, default_value_t = 1.0, value_name = "WEIGHT")]
    pub(crate) recent_weight: f32,
    /// Regularisation of ease [default: by the number of users].
    #[arg(long, value_name = "LAMBDA")]
    pub(crate) ease_regularization: Option<f32>,
    /// Share of likes that ease is to do without in training, 0 to below 1 (EDLAE).
    #[arg(long, default_value_t = EaseParameters::default().dropout, value_name = "SHARE")]
    pub(crate) ease_dropout: f32,
    /// Neighbours that each film keeps in item-knn.
    #[arg(long, default_value_t = ItemKnnParameters::default().neighbors, value_name = "COUNT")]
    pub(crate) neighbors: usize,
    /// Draws the likeness of little-seen films in item-knn towards 0.
    #[arg(long, default_value_t = ItemKnnParameters::default().shrinkage, value_name = "NUMBER")]
    pub(crate) neighbor_shrinkage: f32,
    /// Settings.
    #[command(flatten)]
    pub(crate) trainer: TrainerArguments,
}

/// What to do with bundles.
#[derive(Debug, Subcommand)]
pub(crate) enum IndexCommand {
    /// Build a bundle from a data set and a model of it, judge it, and make it live.
    Build {
        /// Name of the data set.
        name: String,
        /// Name of the model.
        #[arg(long, default_value = "ials")]
        model: String,
        /// Column of ids in a foreign model's tables.
        #[arg(long, value_name = "COLUMN")]
        id_column: Option<String>,
        /// Column of embeddings in a foreign model's tables.
        #[arg(long, value_name = "COLUMN")]
        embedding_column: Option<String>,
        /// Build and judge only.
        #[arg(long)]
        no_activate: bool,
        /// Lowest recall@10 of the graph against the exact scan with which a bundle may go live.
        #[arg(long, default_value_t = 0.9, value_name = "RECALL")]
        min_recall: f64,
        /// Share of the exact best that the graph must find to be asked instead of the exact scan, 0.5 to 1; with 1 every answer
        /// is exact.
        #[arg(long, default_value_t = BuildOptions::default().target_recall, value_name = "RECALL")]
        target_recall: f64,
        /// Lowest share of the films with interactions that must have an embedding for a bundle to go live.
        #[arg(long, default_value_t = 0.5, value_name = "SHARE")]
        min_coverage: f64,
        /// Earlier bundles that stay for roll-back.
        #[arg(long, default_value_t = 3, value_name = "COUNT")]
        keep: usize,
    },
    /// The bundles there are, newest first, and which one is live.
    List,
    /// Check every byte of a bundle and measure it again.
    Verify {
        /// The version; the live one if left out.
        version: Option<String>,
    },
    /// Make a bundle the live one, after checking it.
    Activate {
        /// The version.
        version: String,
    },
    /// Delete a bundle that is not live.
    Remove {
        /// The version.
        version: String,
    },
}

/// For whom to recommend.
#[derive(Debug, Args)]
pub(crate) struct RecommendArguments {
    /// A user id.
    #[arg(required_unless_present_any = ["liked", "disliked"], conflicts_with_all = ["liked", "disliked"])]
    pub(crate) user: Option<String>,
    /// Movie ids or titles that someone liked; repeat it or give several.
    #[arg(long, num_args = 1.., value_name = "MOVIE")]
    pub(crate) liked: Vec<String>,
    /// Movie ids or titles that someone disliked.
    #[arg(long, num_args = 1.., value_name = "MOVIE")]
    pub(crate) disliked: Vec<String>,
    /// The place, for example US/CA.
    #[arg(long, value_name = "PLACE")]
    pub(crate) location: Option<String>,
    /// How many films.
    #[arg(short, long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) k: u32,
}
