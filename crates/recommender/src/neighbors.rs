//! People of like taste: users whose embeddings point the way of one user's.

use std::collections::HashSet;

use cinedex_domain::UserIndex;
use cinedex_index::{Retrieval, Retrieved};
use cinedex_vectors::Scored;

use crate::answer::{Neighbor, NeighborList, NeighborStrategy};
use crate::snapshot::retrieval_kind;
use crate::view::Story;
use crate::{NeighborRequest, Snapshot};

impl Snapshot {
    /// Users of like taste, by descending cosine of embeddings, the user left out. A user without an embedding is folded in from
    /// the history; of whom neither is known, an unknown user among them, nobody is of like taste, nor is anybody of anybody
    /// where the bundle has no embeddings of users.
    pub fn neighbors(&self, user_id: &str, request: &NeighborRequest) -> NeighborList<'_> {
        let bundle = self.bundle();
        let (found, others, strategy) = match bundle.user_index(user_id) {
            Some(user) if bundle.has_user_embedding(user) => {
                let others = bundle.embedded_user_count() - 1;
                (self.nearest_to_user(user, request, others), others, NeighborStrategy::Personalized)
            }
            Some(user) => self.nearest_to_history(user, request),
            None => nobody(),
        };
        let page = found.items.iter().skip(request.offset);
        let items: Vec<Neighbor<'_>> = page
            .map(|hit| Neighbor { user_id: bundle.user_id(UserIndex(hit.index)), score: hit.score })
            .collect();
        let more = !items.is_empty() && others > request.offset.saturating_add(items.len());
        NeighborList {
            items,
            next_cursor: None,
            index_version: self.version(),
            user_id: user_id.to_owned(),
            strategy,
            retrieval: retrieval_kind(found.retrieval),
            more,
        }
    }

    /// The same for a user of whom a story is known, leaving out who is hidden.
    pub(crate) fn neighbors_of(
        &self,
        user_id: &str,
        story: &Story,
        request: &NeighborRequest,
        hidden: &dyn Fn(&str) -> bool,
    ) -> NeighborList<'_> {
        let bundle = self.bundle();
        let own = bundle.user_index(user_id);
        let embedded = story.trained.filter(|&user| !story.is_live && bundle.has_user_embedding(user));
        let taste = if embedded.is_none() && bundle.embedded_user_count() > 0 {
            self.taste_of(&story.history)
        } else {
            None
        };
        let others = bundle.embedded_user_count() - usize::from(embedded.is_some());
        let first = |count: usize| match (embedded, &taste) {
            (Some(user), _) => {
                let limit = count.saturating_sub(request.offset);
                self.nearest_to_user(user, &NeighborRequest { limit, ..*request }, others)
            }
            (None, Some(taste)) => {
                Retrieved { items: bundle.nearest_users(taste, count), retrieval: Retrieval::Exact }
            }
            (None, None) => nobody().0,
        };
        let wanted = request.offset.saturating_add(request.limit).min(others);
        let mut count = wanted;
        let (visible, retrieval, exhausted) = loop {
            let Retrieved { mut items, retrieval } = first(count);
            let exhausted = items.len() < count || count >= others;
            items.retain(|hit| {
                Some(hit.index) != own.map(|own| own.0) && !hidden(bundle.user_id(UserIndex(hit.index)))
            });
            // Whoever is left out makes room for the next.
            if exhausted || items.len() >= wanted {
                break (items, retrieval, exhausted);
            }
            count = count.saturating_mul(2).min(others);
        };
        let page = visible.iter().take(wanted).skip(request.offset);
        let items: Vec<Neighbor<'_>> = page
            .map(|hit| Neighbor { user_id: bundle.user_id(UserIndex(hit.index)), score: hit.score })
            .collect();
        let more = !items.is_empty() && (!exhausted || visible.len() > wanted);
        let strategy = match (embedded, &taste) {
            (Some(_), _) => NeighborStrategy::Personalized,
            (None, Some(_)) => NeighborStrategy::FoldedIn,
            (None, None) => NeighborStrategy::Unavailable,
        };
        NeighborList {
            items,
            next_cursor: None,
            index_version: self.version(),
            user_id: user_id.to_owned(),
            strategy,
            retrieval: retrieval_kind(retrieval),
            more,
        }
    }

    /// The first of the `others`, up to the end of the page. As with similar movies, the graph answers a first page only: later
    /// pages leave out whom it put there and compare all others, so that nobody comes twice and nobody is skipped.
    fn nearest_to_user(&self, user: UserIndex, request: &NeighborRequest, others: usize) -> Retrieved {
        let bundle = self.bundle();
        let wanted = request.offset.saturating_add(request.limit).min(others);
        if request.offset == 0 {
            return bundle.user_neighbors(user, wanted);
        }
        let first_page = if request.first_page == 0 { request.limit } else { request.first_page };
        let Retrieved { items: first, retrieval } = bundle.user_neighbors(user, first_page.min(others));
        let own = bundle.user_factors().map_or(&[][..], |factors| factors.row(user.row()));
        let mut nearest = bundle.nearest_users(own, wanted + 1);
        nearest.retain(|hit| hit.index != user.0);
        Retrieved { items: go_on(first, nearest, wanted), retrieval }
    }

    /// For a user of the bundle who has no embedding in it.
    fn nearest_to_history(
        &self,
        user: UserIndex,
        request: &NeighborRequest,
    ) -> (Retrieved, usize, NeighborStrategy) {
        let bundle = self.bundle();
        let others = bundle.embedded_user_count();
        if others == 0 {
            return nobody();
        }
        let Some(taste) = self.taste_of(&self.preferences_of(user)) else { return nobody() };
        let items = bundle.nearest_users(&taste, request.offset.saturating_add(request.limit).min(others));
        (Retrieved { items, retrieval: Retrieval::Exact }, others, NeighborStrategy::FoldedIn)
    }
}

/// The first page as it was answered, then all others of the `nearest`.
fn go_on(first: Vec<Scored>, nearest: Vec<Scored>, wanted: usize) -> Vec<Scored> {
    let placed: HashSet<u32> = first.iter().map(|hit| hit.index).collect();
    let others = nearest.into_iter().filter(|hit| !placed.contains(&hit.index));
    first.into_iter().chain(others).take(wanted).collect()
}

fn nobody() -> (Retrieved, usize, NeighborStrategy) {
    let nothing = Retrieved { items: Vec::new(), retrieval: Retrieval::Exact };
    (nothing, 0, NeighborStrategy::Unavailable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{Bench, World};

    fn wants(offset: usize, limit: usize) -> NeighborRequest {
        NeighborRequest { offset, limit, first_page: 0 }
    }

    fn ids<'a>(list: &NeighborList<'a>) -> Vec<&'a str> {
        list.items.iter().map(|neighbor| neighbor.user_id).collect()
    }

    /// Whether a user of the small world loves action.
    fn is_action(user_id: &str) -> bool {
        user_id.parse::<usize>().unwrap() % 2 == 1
    }

    #[test]
    fn people_of_the_same_taste_come_first_and_never_the_user() {
        let bench = Bench::new();
        let snapshot = bench.engine(&World::default()).snapshot().unwrap();
        for user in ["1", "2"] {
            let list = snapshot.neighbors(user, &wants(0, 4));
            assert!(ids(&list).iter().all(|id| is_action(id) == is_action(user)), "{:?}", ids(&list));
            assert!(list.more && list.strategy == NeighborStrategy::Personalized);
            let all = snapshot.neighbors(user, &wants(0, 100));
            assert!(!all.more && !ids(&all).contains(&user), "{:?}", ids(&all));
            // Users 3 and 4 have no embedding.
            assert!(!ids(&all).iter().any(|id| ["3", "4"].contains(id)) && all.items.len() == 9);
            let scores: Vec<f32> = all.items.iter().map(|neighbor| neighbor.score).collect();
            assert!(scores.is_sorted_by(|a, b| a >= b) && scores[0] <= 1.0 && scores[8] < 0.5, "{scores:?}");
        }
    }

    #[test]
    fn pages_are_the_parts_of_the_whole() {
        let bench = Bench::new();
        let snapshot = bench.engine(&World::default()).snapshot().unwrap();
        for user in ["1", "4"] {
            let whole = snapshot.neighbors(user, &wants(0, 100));
            let mut joined = Vec::new();
            loop {
                let page = snapshot.neighbors(user, &wants(joined.len(), 4));
                joined.extend(page.items.iter().copied());
                if !page.more {
                    break;
                }
            }
            assert_eq!(joined, whole.items, "{user}");
            let beyond = snapshot.neighbors(user, &wants(usize::MAX, usize::MAX));
            assert!(beyond.items.is_empty() && !beyond.more);
            let none = snapshot.neighbors(user, &wants(0, 0));
            assert!(none.items.is_empty() && !none.more);
        }
    }

    #[test]
    fn whom_a_first_page_missed_comes_on_the_second() {
        let scored = |rows: &[u32]| -> Vec<Scored> {
            rows.iter().map(|&index| Scored { index, score: 1.0 / index as f32 }).collect()
        };
        // The graph has missed row 2.
        let joined = go_on(scored(&[1, 3, 4]), scored(&[1, 2, 3, 4, 5, 6]), 6);
        assert_eq!(joined, scored(&[1, 3, 4, 2, 5, 6]));
        assert_eq!(go_on(scored(&[1, 3, 4]), scored(&[1, 2, 3, 4, 5]), 5), scored(&[1, 3, 4, 2, 5]));
    }

    #[test]
    fn a_history_stands_in_for_an_embedding() {
        let bench = Bench::new();
        for fold_in in [true, false] {
            let world = World { fold_in, ..World::default() };
            let snapshot = bench.engine(&world).snapshot().unwrap();
            let list = snapshot.neighbors("4", &wants(0, 5));
            assert_eq!(list.strategy, NeighborStrategy::FoldedIn);
            assert!(list.items.len() == 5 && ids(&list).iter().all(|id| !is_action(id)), "{:?}", ids(&list));
        }
    }

    #[test]
    fn of_whom_nothing_is_known_nobody_is_of_like_taste() {
        let bench = Bench::new();
        let check = |world: &World, users: &[&str]| {
            let snapshot = bench.engine(world).snapshot().unwrap();
            for user in users {
                let list = snapshot.neighbors(user, &wants(0, 20));
                assert_eq!(list.strategy, NeighborStrategy::Unavailable, "{user}");
                assert!(list.items.is_empty() && !list.more && list.user_id == *user);
            }
        };
        check(&World::default(), &["3", "nobody", "", "é"]);
        check(&World { user_factors: false, ..World::default() }, &["1", "4", "nobody"]);
    }

    #[test]
    fn a_list_has_the_shape_of_the_contract() {
        let bench = Bench::new();
        let snapshot = bench.engine(&World::default()).snapshot().unwrap();
        let json = serde_json::to_value(snapshot.neighbors("nobody", &wants(0, 1))).unwrap();
        let expect = serde_json::json!({
            "items": [], "next_cursor": null, "index_version": snapshot.version(), "user_id": "nobody",
            "strategy": "unavailable", "retrieval": "exact",
        });
        assert_eq!(json, expect);
        let json = serde_json::to_value(snapshot.neighbors("1", &wants(0, 1))).unwrap();
        assert_eq!(json["items"][0].as_object().unwrap().len(), 2);
        assert!(json["items"][0]["user_id"].is_string() && json["items"][0]["score"].is_number());
    }
}
