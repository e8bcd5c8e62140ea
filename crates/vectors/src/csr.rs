//! Sparse rows: for each row the columns that it has, ascending, and a value for each.

use crate::VectorsError;

/// A sparse `rows × columns` matrix in compressed rows. The columns of a row strictly ascend.
#[derive(Debug, Clone, PartialEq)]
pub struct Csr<T> {
    column_count: usize,
    offsets: Vec<u64>,
    columns: Vec<u32>,
    values: Vec<T>,
}

impl<T: Copy> Csr<T> {
    /// Sorts `(row, column, value)` into rows, in any order; of a repeated pair the last one given stays. Two passes of
    /// counting sort, linear in rows, columns and entries. Panics if a row or column is out of range.
    pub fn from_triplets(
        row_count: usize,
        column_count: usize,
        triplets: impl IntoIterator<Item = (u32, u32, T)>,
    ) -> Self {
        Self::from_triplets_by(row_count, column_count, triplets, |_, last| last)
    }

    /// As [`from_triplets`](Self::from_triplets), but of a repeated pair `choose(kept, given later)` stays.
    pub fn from_triplets_by(
        row_count: usize,
        column_count: usize,
        triplets: impl IntoIterator<Item = (u32, u32, T)>,
        choose: impl Fn(T, T) -> T,
    ) -> Self {
        let triplets: Vec<(u32, u32, T)> = triplets.into_iter().collect();
        let by_column = counting_order(column_count, &triplets, |&(_, column, _)| column);
        let rows = triplets.iter().map(|&(row, ..)| row);
        let mut next = starts(row_count, rows);
        let mut order = vec![0u32; triplets.len()];
        for &entry in &by_column {
            let slot = &mut next[triplets[entry as usize].0 as usize];
            order[*slot as usize] = entry;
            *slot += 1;
        }
        let mut result = Self { column_count, offsets: vec![0], columns: Vec::new(), values: Vec::new() };
        result.offsets.reserve_exact(row_count);
        result.columns.reserve_exact(triplets.len());
        result.values.reserve_exact(triplets.len());
        let mut position = 0;
        for &end in &next[..row_count] {
            let entries = order[position..end as usize].iter().map(|&entry| triplets[entry as usize]);
            result.append_row(entries, &choose);
            position = end as usize;
        }
        result
    }

    /// Takes arrays as they are, checked: `offsets` has one element more than there are rows.
    pub fn from_parts(
        column_count: usize,
        offsets: Vec<u64>,
        columns: Vec<u32>,
        values: Vec<T>,
    ) -> Result<Self, VectorsError> {
        let entries = columns.len();
        if entries != values.len() {
            return Err(VectorsError::UnequalLengths { columns: entries, values: values.len() });
        }
        if offsets.first() != Some(&0) {
            return Err(VectorsError::MalformedOffsets { row: 0, entries });
        }
        for (row, ends) in offsets.windows(2).enumerate() {
            if ends[0] > ends[1] || ends[1] > entries as u64 {
                return Err(VectorsError::MalformedOffsets { row, entries });
            }
            let own = &columns[ends[0] as usize..ends[1] as usize];
            let ascending = own.windows(2).find(|pair| pair[0] >= pair[1]).map(|pair| pair[1]);
            let beyond = own.last().copied().filter(|&column| column as usize >= column_count);
            if let Some(column) = ascending.or(beyond) {
                return Err(VectorsError::MalformedColumn { row, column, column_count });
            }
        }
        if offsets.last() != Some(&(entries as u64)) {
            return Err(VectorsError::MalformedOffsets { row: offsets.len() - 1, entries });
        }
        Ok(Self { column_count, offsets, columns, values })
    }

    /// Columns and values of one row. Panics out of range.
    pub fn row(&self, row: usize) -> (&[u32], &[T]) {
        let range = self.offsets[row] as usize..self.offsets[row + 1] as usize;
        (&self.columns[range.clone()], &self.values[range])
    }

    /// The value at a place, where there is one.
    pub fn get(&self, row: usize, column: u32) -> Option<T> {
        let (columns, values) = self.row(row);
        columns.binary_search(&column).ok().map(|position| values[position])
    }

    /// Number of rows.
    pub fn row_count(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Number of columns.
    pub fn column_count(&self) -> usize {
        self.column_count
    }

    /// Number of entries.
    pub fn entry_count(&self) -> usize {
        self.columns.len()
    }

    /// Where each row starts, and at the end the number of entries: one element more than rows.
    pub fn offsets(&self) -> &[u64] {
        &self.offsets
    }

    /// The columns of all rows, one row after another.
    pub fn columns(&self) -> &[u32] {
        &self.columns
    }

    /// The values of all rows, one row after another.
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// Rows become columns; linear in rows, columns and entries.
    #[must_use]
    pub fn transpose(&self) -> Self {
        let mut next = starts(self.column_count, self.columns.iter().copied());
        let mut columns = vec![0u32; self.entry_count()];
        let mut values = self.values.clone();
        for row in 0..self.row_count() {
            let (own, own_values) = self.row(row);
            for (&column, &value) in own.iter().zip(own_values) {
                let slot = next[column as usize] as usize;
                columns[slot] = row as u32;
                values[slot] = value;
                next[column as usize] += 1;
            }
        }
        let mut offsets = next;
        offsets.rotate_right(1);
        offsets[0] = 0;
        Self { column_count: self.row_count(), offsets, columns, values }
    }

    /// The same places with other values.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Csr<U> {
        let values = self.values.into_iter().map(change).collect();
        Csr { column_count: self.column_count, offsets: self.offsets, columns: self.columns, values }
    }

    fn append_row(&mut self, entries: impl Iterator<Item = (u32, u32, T)>, choose: impl Fn(T, T) -> T) {
        let start = self.columns.len();
        for (_, column, value) in entries {
            if self.columns.len() > start && self.columns.last() == Some(&column) {
                let last = self.values.len() - 1;
                self.values[last] = choose(self.values[last], value);
            } else {
                self.columns.push(column);
                self.values.push(value);
            }
        }
        self.offsets.push(self.columns.len() as u64);
    }
}

/// Where each of `count` keys would start, and at the end the number of all.
fn starts(count: usize, keys: impl Iterator<Item = u32>) -> Vec<u64> {
    let mut offsets = vec![0u64; count + 1];
    for key in keys {
        offsets[key as usize + 1] += 1;
    }
    for key in 0..count {
        offsets[key + 1] += offsets[key];
    }
    offsets
}

/// Positions of `entries` in the stable order of their key.
fn counting_order<E>(count: usize, entries: &[E], key: impl Fn(&E) -> u32) -> Vec<u32> {
    assert!(u32::try_from(entries.len()).is_ok(), "sparse rows are built from fewer than 2^32 entries");
    let mut next = starts(count, entries.iter().map(&key));
    let mut order = vec![0u32; entries.len()];
    for (position, entry) in (0u32..).zip(entries) {
        let slot = &mut next[key(entry) as usize];
        order[*slot as usize] = position;
        *slot += 1;
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn rows_are_sorted_and_the_last_of_a_repeated_pair_stays() {
        let csr = Csr::from_triplets(3, 4, [(2, 3, 'a'), (0, 2, 'b'), (0, 1, 'c'), (0, 2, 'd')]);
        assert_eq!(csr.row(0), (&[1, 2][..], &['c', 'd'][..]));
        assert_eq!(csr.row(1), (&[][..], &[][..]));
        assert_eq!((csr.get(2, 3), csr.get(2, 0)), (Some('a'), None));
        assert_eq!((csr.row_count(), csr.column_count(), csr.entry_count()), (3, 4, 3));
    }

    #[test]
    fn nothing_is_a_matrix_too() {
        let csr = Csr::<f32>::from_triplets(0, 0, []);
        assert_eq!((csr.row_count(), csr.transpose().row_count()), (0, 0));
    }

    #[test]
    fn malformed_parts_are_refused() {
        let of = |offsets: &[u64], columns: &[u32]| {
            Csr::from_parts(3, offsets.to_vec(), columns.to_vec(), vec![0u8; 2])
        };
        assert!(of(&[0, 1, 2], &[2, 2]).is_ok());
        assert_eq!(
            of(&[0, 2], &[1, 1]),
            Err(VectorsError::MalformedColumn { row: 0, column: 1, column_count: 3 })
        );
        assert_eq!(
            of(&[0, 2], &[1, 3]),
            Err(VectorsError::MalformedColumn { row: 0, column: 3, column_count: 3 })
        );
        assert_eq!(of(&[0, 3], &[0, 1]), Err(VectorsError::MalformedOffsets { row: 0, entries: 2 }));
        assert_eq!(of(&[0, 1], &[0, 1]), Err(VectorsError::MalformedOffsets { row: 1, entries: 2 }));
        assert_eq!(of(&[], &[0, 1]), Err(VectorsError::MalformedOffsets { row: 0, entries: 2 }));
        assert_eq!(of(&[0, 1], &[0]), Err(VectorsError::UnequalLengths { columns: 1, values: 2 }));
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_map(triplets in prop::collection::vec((0u32..6, 0u32..9, 0u8..), 0..60)) {
            let csr = Csr::from_triplets(6, 9, triplets.iter().copied());
            let map: BTreeMap<(u32, u32), u8> =
                triplets.iter().map(|&(row, column, value)| ((row, column), value)).collect();
            let mut entries = Vec::new();
            for row in 0..csr.row_count() {
                let (columns, values) = csr.row(row);
                entries.extend(columns.iter().zip(values).map(|(&column, &value)| ((row as u32, column), value)));
            }
            prop_assert_eq!(entries, map.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(csr.transpose().transpose(), csr.clone());
            let parts = (csr.offsets().to_vec(), csr.columns().to_vec(), csr.values().to_vec());
            prop_assert_eq!(Csr::from_parts(9, parts.0, parts.1, parts.2), Ok(csr.clone()));
            let turned = Csr::from_triplets(9, 6, (0..6).flat_map(|row| {
                let (columns, values) = csr.row(row as usize);
                columns.iter().zip(values).map(move |(&column, &value)| (column, row, value)).collect::<Vec<_>>()
            }));
            prop_assert_eq!(csr.transpose(), turned);
        }
    }
}
