//! Vectors as bytes, for a first pass that reads a quarter of the memory: what an inner product of codes says of the inner
//! product of the vectors is bounded exactly, so that a search can leave out what cannot be among the best and score the
//! rest in full.
//!
//! A row `x` is stored as `round(x / s) + 128` with `s = max |x| / 127`, a query `q` as `round(q / t)`. With `c` and `p` the codes
//! without the bias, by the triangle and the Cauchy-Schwarz inequality
//! `|<x, q> - s t <c, p>| = |<x - s c, q> + <s c, q - t p>| <= |x - s c| |q| + |s c| |q - t p|`.

use crate::kernels::codes::{candidates, inner_products, inner_products_of};
use crate::kernels::norm_f64;

/// Rows of codes begin at multiples of this, a cache line.
const STRIDE_UNIT: usize = 64;
/// What is added to a signed code to make it a byte.
const BIAS: u8 = 128;
/// The largest magnitude of a code.
const LARGEST: f32 = 127.0;
/// From here to twice as much the last bit of a number counts ones.
const ROUNDING: f32 = 1.5 * (1 << 23) as f32;
/// Independent sums, so that they are computed side by side.
const LANES: usize = 8;
/// So long a row's inner product still fits in 32 bits: `255 × 127` a place.
const LONGEST: usize = i32::MAX as usize / (255 * 127) / STRIDE_UNIT * STRIDE_UNIT;

/// Bytes of a coded row of `dimension` numbers: `dimension` rounded up to a multiple of 64. Panics above 66,304, where products
/// would not fit in 32 bits.
pub fn code_stride(dimension: usize) -> usize {
    assert!(dimension <= LONGEST, "a coded row has at most {LONGEST} numbers");
    dimension.next_multiple_of(STRIDE_UNIT)
}

/// What turns a row's codes back into about the row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Code {
    /// A code without its bias times this is about the number; 0 for a row of zeros.
    pub scale: f32,
    /// The Euclidean distance between the row and what its codes say, rounded up; infinite for a row that is not finite.
    pub error: f32,
}

/// Codes a row into `out`, which is [`code_stride`] long. A row that is not finite is coded as zeros.
pub fn encode(row: &[f32], out: &mut [u8]) -> Code {
    assert_eq!(out.len(), code_stride(row.len()), "room for the codes of one row");
    out.fill(BIAS);
    quantize(row, BIAS, out)
}

/// A vector made ready to be compared with coded rows.
#[derive(Debug, Clone, PartialEq)]
pub struct CodedQuery {
    values: Vec<i8>,
    code: Code,
    norm: f32,
    offset: i32,
}

impl CodedQuery {
    /// Codes a vector. One that is not finite is coded as zeros, with an infinite error.
    pub fn new(query: &[f32]) -> Self {
        let mut bytes = vec![0; code_stride(query.len())];
        let code = quantize(query, 0, &mut bytes);
        let values: Vec<i8> = bytes.into_iter().map(|byte| byte as i8).collect();
        let offset = i32::from(BIAS) * values.iter().map(|&value| i32::from(value)).sum::<i32>();
        Self { values, code, norm: rounded_up(norm_f64(query)), offset }
    }

    /// Becomes the codes of a coded row; scale, error and norm are then those of the codes: 1, 0 and their length.
    pub fn set_codes(&mut self, row: &[u8]) {
        self.values.clear();
        self.values.extend(row.iter().map(|&byte| byte.wrapping_sub(BIAS) as i8));
        let (mut sum, mut squares) = (0, 0);
        for &value in &self.values {
            sum += i32::from(value);
            squares += i32::from(value) * i32::from(value);
        }
        self.code = Code { scale: 1.0, error: 0.0 };
        self.norm = rounded_up(f64::from(squares).sqrt());
        self.offset = i32::from(BIAS) * sum;
    }

    /// A code times this is about the number.
    pub fn scale(&self) -> f32 {
        self.code.scale
    }

    /// The Euclidean distance between the query and what its codes say, rounded up.
    pub fn error(&self) -> f32 {
        self.code.error
    }

    /// The Euclidean length of the query, rounded up.
    pub fn norm(&self) -> f32 {
        self.norm
    }

    /// The codes, padded with zeros to the stride.
    pub(crate) fn values(&self) -> &[i8] {
        &self.values
    }

    /// What the bias adds to the product with a row.
    pub(crate) fn offset(&self) -> i32 {
        self.offset
    }
}

/// What is known of coded rows beside their codes, a number a row.
#[derive(Debug, Clone, Copy)]
pub struct RowTerms<'a> {
    /// [`Code::scale`].
    pub scales: &'a [f32],
    /// [`Code::error`].
    pub errors: &'a [f32],
    /// Euclidean lengths.
    pub norms: &'a [f32],
}

/// A row of scale `s`, error `e` and length `n` whose codes have the inner product `p` with the query's may be among the best
/// if `product s p + error e + norm n >= least`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound {
    /// Factor of scale and product.
    pub product: f32,
    /// Factor of the error.
    pub error: f32,
    /// Factor of the length.
    pub norm: f32,
    /// What must be reached.
    pub least: f32,
}

impl Bound {
    /// Whether the row at `place`, whose product is `product`, may be among the best.
    #[inline]
    pub(crate) fn allows(&self, rows: RowTerms<'_>, place: usize, product: i32) -> bool {
        self.reach(rows.scales[place], rows.errors[place], rows.norms[place], product) >= self.least
    }

    /// Adds to `out` the places, ascending, of the rows that may be among the best. Panics unless there are as many numbers of
    /// each kind as products.
    pub fn candidates(&self, rows: RowTerms<'_>, products: &[i32], out: &mut Vec<u32>) {
        let count = products.len();
        let lengths = [rows.scales.len(), rows.errors.len(), rows.norms.len()];
        assert_eq!(lengths, [count; 3], "terms for each product");
        candidates(self, rows, products, out);
    }

    #[inline]
    pub(crate) fn reach(&self, scale: f32, error: f32, norm: f32, product: i32) -> f32 {
        scale * (self.product * product as f32) + self.error * error + self.norm * norm
    }
}

/// Borrowed coded rows, row-major, of any alignment (a multiple of 64 bytes is fastest).
#[derive(Debug, Clone, Copy)]
pub struct CodesView<'a> {
    bytes: &'a [u8],
    stride: usize,
}

impl<'a> CodesView<'a> {
    /// Reads `bytes` as coded rows of `dimension` numbers. Panics if `dimension` is 0 or the bytes are no whole rows.
    pub fn new(bytes: &'a [u8], dimension: usize) -> Self {
        let stride = code_stride(dimension);
        assert!(stride > 0, "a row has at least one number");
        assert!(bytes.len().is_multiple_of(stride), "{} bytes are no rows of {stride}", bytes.len());
        Self { bytes, stride }
    }

    /// Number of rows.
    pub fn rows(self) -> usize {
        self.bytes.len() / self.stride
    }

    /// The codes of a row, padded. Panics out of range.
    pub fn row(self, row: usize) -> &'a [u8] {
        &self.bytes[row * self.stride..][..self.stride]
    }

    /// The inner product of the query's codes with those of each row from `first_row` on, the bias taken off, as many as `out` is
    /// long: exact. Panics out of range or if the query is of another length.
    pub fn inner_products(self, first_row: usize, query: &CodedQuery, out: &mut [i32]) {
        assert_eq!(query.values.len(), self.stride, "a query as long as a row");
        let rows = &self.bytes[first_row * self.stride..][..out.len() * self.stride];
        inner_products(rows, query.values(), query.offset(), out);
    }

    /// The same for rows here and there, which are asked of memory ahead of their turn. Panics unless every row exists and `out`
    /// is as long as `rows`.
    pub fn inner_products_of(self, rows: &[u32], query: &CodedQuery, out: &mut [i32]) {
        assert_eq!(query.values.len(), self.stride, "a query as long as a row");
        assert_eq!(rows.len(), out.len(), "an answer for each row");
        inner_products_of(self.bytes, rows, query.values(), query.offset(), out);
    }
}

/// Writes the codes of a row, which may be shorter than `out`, as signed bytes to which `bias`, 0 or 128, is added.
fn quantize(row: &[f32], bias: u8, out: &mut [u8]) -> Code {
    let (mut largest, mut rest) = (0.0f32, 0.0f32);
    for &value in row {
        // Without a branch, so that it is done many at a time.
        largest = if value.abs() > largest { value.abs() } else { largest };
        rest += value * 0.0;
    }
    if rest != 0.0 {
        return Code { scale: 0.0, error: f32::INFINITY };
    }
    let mut scale = largest / LARGEST;
    let mut inverse = scale.recip();
    if !inverse.is_finite() {
        // The row is zero, or so short that its own length is error enough.
        (scale, inverse) = (0.0, 0.0);
    }
    let mut squares = [0.0; LANES];
    let (blocks, short) = row.as_chunks::<LANES>();
    let (out, short_out) = out[..row.len()].as_chunks_mut::<LANES>();
    for (values, out) in blocks.iter().zip(out) {
        quantize_block(values, (scale, inverse), bias, out, &mut squares);
    }
    if !short.is_empty() {
        let (mut values, mut codes) = ([0.0; LANES], [0; LANES]);
        values[..short.len()].copy_from_slice(short);
        quantize_block(&values, (scale, inverse), bias, &mut codes, &mut squares);
        short_out.copy_from_slice(&codes[..short.len()]);
    }
    Code { scale, error: rounded_up(squares.iter().sum::<f64>().sqrt()) }
}

#[inline]
fn quantize_block(
    values: &[f32; LANES],
    (scale, inverse): (f32, f32),
    bias: u8,
    out: &mut [u8; LANES],
    squares: &mut [f64; LANES],
) {
    for lane in 0..LANES {
        // Adding a number whose last bit counts ones rounds, and leaves the code in the lowest bits.
        let rounded = values[lane] * inverse + ROUNDING;
        let error = f64::from(values[lane]) - f64::from(scale) * f64::from(rounded - ROUNDING);
        squares[lane] += error * error;
        out[lane] = rounded.to_bits() as u8 ^ bias;
    }
}

/// The next number that is surely not below, whatever double precision lost.
fn rounded_up(value: f64) -> f32 {
    if value == 0.0 { 0.0 } else { ((value * (1.0 + 1e-9)) as f32).next_up() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::codes::{candidate_forms, forms};
    use proptest::prelude::*;

    /// Numbers of every size, zeros and repetitions among them.
    fn number() -> impl Strategy<Value = f32> {
        prop_oneof![
            -1f32..1.0,
            -1f32..1.0,
            -1e12f32..1e12,
            -1e-30f32..1e-30,
            Just(0.0),
            Just(f32::MIN_POSITIVE),
            Just(1e-45),
        ]
    }

    fn vectors(count: usize) -> impl Strategy<Value = Vec<Vec<f32>>> {
        let dimension = prop_oneof![1usize..70, Just(64), Just(128), Just(192), Just(256), Just(257)];
        dimension.prop_flat_map(move |dimension| {
            let row = prop_oneof![
                prop::collection::vec(-1f32..1.0, dimension),
                prop::collection::vec(number(), dimension),
                Just(vec![0.0; dimension]),
            ];
            prop::collection::vec(row, 1..count)
        })
    }

    fn coded(rows: &[Vec<f32>]) -> (Vec<u8>, Vec<Code>) {
        let stride = code_stride(rows[0].len());
        let mut bytes = vec![0; rows.len() * stride];
        let codes = rows.iter().zip(bytes.chunks_exact_mut(stride)).map(|(row, out)| encode(row, out));
        let codes = codes.collect();
        (bytes, codes)
    }

    fn dot_f64(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum()
    }

    proptest! {
        #[test]
        fn every_form_gives_the_same_numbers(rows in vectors(45), picks in prop::collection::vec(any::<prop::sample::Index>(), 0..45), first in any::<prop::sample::Index>()) {
            let (bytes, _) = coded(&rows);
            let query = CodedQuery::new(&rows[0]);
            let codes = CodesView::new(&bytes, rows[0].len());
            let expect: Vec<i32> = (0..rows.len())
                .map(|row| {
                    let pairs = codes.row(row).iter().zip(query.values());
                    pairs.map(|(&x, &q)| (i32::from(x) - 128) * i32::from(q)).sum()
                })
                .collect();
            let first = first.index(rows.len());
            let picked: Vec<u32> = picks.iter().map(|pick| pick.index(rows.len()) as u32).collect();
            let picked_expect: Vec<i32> = picked.iter().map(|&row| expect[row as usize]).collect();
            for (name, contiguous, gathered) in forms() {
                let mut out = vec![0; rows.len() - first];
                contiguous(&bytes[first * codes.stride..], query.values(), query.offset(), &mut out);
                prop_assert_eq!(&out, &expect[first..], "{}", name);
                let mut out = vec![0; picked.len()];
                gathered(&bytes, &picked, query.values(), query.offset(), &mut out);
                prop_assert_eq!(&out, &picked_expect, "{}", name);
            }
            let mut out = vec![0; rows.len() - first];
            codes.inner_products(first, &query, &mut out);
            prop_assert_eq!(&out, &expect[first..]);
            let mut out = vec![0; picked.len()];
            codes.inner_products_of(&picked, &query, &mut out);
            prop_assert_eq!(out, picked_expect);
        }

        #[test]
        fn the_error_is_bounded(rows in vectors(9)) {
            let (bytes, codes) = coded(&rows);
            let query = CodedQuery::new(&rows[0]);
            let mut products = vec![0; rows.len()];
            CodesView::new(&bytes, rows[0].len()).inner_products(0, &query, &mut products);
            let (t, query_error) = (f64::from(query.scale()), f64::from(query.error()));
            prop_assert!(f64::from(query.norm()) >= dot_f64(&rows[0], &rows[0]).sqrt());
            for (row, (code, product)) in codes.iter().zip(products).enumerate() {
                let s = f64::from(code.scale);
                let said: Vec<f64> = bytes[row * code_stride(rows[0].len())..][..rows[0].len()]
                    .iter()
                    .map(|&byte| s * (f64::from(byte) - 128.0))
                    .collect();
                let length = said.iter().map(|value| value * value).sum::<f64>().sqrt();
                let distance =
                    said.iter().zip(&rows[row]).map(|(a, &b)| (a - f64::from(b)).powi(2)).sum::<f64>().sqrt();
                prop_assert!(distance <= f64::from(code.error));
                let bound = f64::from(code.error) * f64::from(query.norm()) + length * query_error;
                let difference = (dot_f64(&rows[row], &rows[0]) - s * t * f64::from(product)).abs();
                prop_assert!(difference <= bound * (1.0 + 1e-6) + 1e-30, "{} {}", difference, bound);
                // A code is off by half a step, a little more where the scale is rounded; the shortest rows have no codes.
                prop_assert!(distance <= 0.51 * s * (rows[0].len() as f64).sqrt() + 1e-34);
            }
        }

        #[test]
        fn candidates_are_those_that_reach(
            rows in prop::collection::vec((0f32..1.0, 0f32..0.1, 0f32..9.0, -9000i32..9000), 0..70),
            bound in (0f32..1.0, -1f32..1.0, -1f32..1.0, -9f32..9.0),
        ) {
            let (scales, errors): (Vec<f32>, Vec<f32>) = rows.iter().map(|row| (row.0, row.1)).unzip();
            let (norms, products): (Vec<f32>, Vec<i32>) = rows.iter().map(|row| (row.2, row.3)).unzip();
            let terms = RowTerms { scales: &scales, errors: &errors, norms: &norms };
            let bound = Bound { product: bound.0, error: bound.1, norm: bound.2, least: bound.3 };
            let expect: Vec<u32> = (0..rows.len() as u32)
                .filter(|&place| bound.allows(terms, place as usize, products[place as usize]))
                .collect();
            for candidates in candidate_forms() {
                let mut out = vec![];
                candidates(&bound, terms, &products, &mut out);
                prop_assert_eq!(&out, &expect);
            }
            let mut out = vec![7];
            bound.candidates(terms, &products, &mut out);
            prop_assert_eq!(&out[1..], &expect);
        }
    }

    #[test]
    fn codes_are_rounded_biased_and_padded() {
        let mut out = [0; 64];
        let code = encode(&[127.0, -127.0, 1.4, 0.0], &mut out);
        assert_eq!((&out[..5], out[63]), (&[255, 1, 129, 128, 128][..], 128));
        assert_eq!(code.scale, 1.0);
        assert!((code.error - 0.4).abs() < 1e-6);
        assert_eq!(encode(&[0.0; 3], &mut out), Code { scale: 0.0, error: 0.0 });
        assert_eq!(encode(&[f32::NAN, 1.0], &mut out), Code { scale: 0.0, error: f32::INFINITY });
        assert_eq!(out, [128; 64]);
    }

    #[test]
    fn the_largest_products_fit() {
        let dimension = LONGEST;
        let row = vec![-1.0; dimension];
        let (bytes, _) = coded(&[row.clone(), row.iter().map(|value| -value).collect()]);
        let mut out = [0; 2];
        CodesView::new(&bytes, dimension).inner_products(0, &CodedQuery::new(&row), &mut out);
        assert_eq!(out, [127 * 127 * dimension as i32, -127 * 127 * dimension as i32]);
    }

    #[test]
    #[should_panic(expected = "rows of the codes")]
    fn a_row_that_is_not_there_is_refused() {
        let bytes = [128; 128];
        CodesView::new(&bytes, 3).inner_products_of(&[1, 2], &CodedQuery::new(&[1.0; 3]), &mut [0; 2]);
    }
}
