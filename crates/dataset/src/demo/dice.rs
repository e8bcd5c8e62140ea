//! Chance and the few functions of a real variable that the demo world needs, the same bits on every machine: `ChaCha` and
//! the four operations only, because the last bit of a platform's `exp` or `ln` differs between platforms.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A stream of chance.
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    /// The stream `stream` of `seed`; streams are independent of one another.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(stream);
        Self(generator)
    }

    /// 64 random bits.
    pub(super) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in 0 (included) to 1 (excluded).
    pub(super) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform in `low` to `high`.
    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Uniform below `count`, which is at least 1.
    pub(super) fn below(&mut self, count: usize) -> usize {
        (self.unit() * count as f64) as usize
    }

    /// True with this probability.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Standard normal, as the sum of twelve uniform numbers: within 6 deviations, which is far enough here.
    pub(super) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }

    /// A position in `weights`, by weight; the weights are not all 0.
    pub(super) fn pick(&mut self, weights: &[f64]) -> usize {
        let mut rest = self.unit() * weights.iter().sum::<f64>();
        for (position, weight) in weights.iter().enumerate() {
            rest -= weight;
            if rest < 0.0 {
                return position;
            }
        }
        weights.len() - 1
    }
}

/// Quantiles of the standard Gumbel distribution, so that a draw costs 16 random bits and a look-up. The largest of
/// `score + draw` over all films is a film drawn with probability proportional to `exp(score)`; the k largest are k films
/// drawn one after the other without replacement (Yellott 1977).
pub(super) struct Gumbel(Vec<f32>);

impl Gumbel {
    /// Computes the table.
    pub(super) fn new() -> Self {
        let steps = 1 << 16;
        Self((0..steps).map(|step| -ln(-ln((f64::from(step) + 0.5) / f64::from(steps))) as f32).collect())
    }

    /// Adds a draw times `scale` to each of `scores`.
    pub(super) fn add(&self, dice: &mut Dice, scale: f32, scores: &mut [f32]) {
        for four in scores.chunks_mut(4) {
            let mut bits = dice.bits();
            for score in four {
                *score += scale * self.0[(bits & 0xFFFF) as usize];
                bits >>= 16;
            }
        }
    }
}

/// Natural logarithm of a positive normal number, to about 1e-15.
pub(super) fn ln(x: f64) -> f64 {
    const LN_2: f64 = std::f64::consts::LN_2;
    let bits = x.to_bits();
    let mut exponent = f64::from((bits >> 52) as i32 - 1023);
    let mut mantissa = f64::from_bits((bits & 0x000F_FFFF_FFFF_FFFF) | 0x3FF0_0000_0000_0000);
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa /= 2.0;
        exponent += 1.0;
    }
    let ratio = (mantissa - 1.0) / (mantissa + 1.0);
    let square = ratio * ratio;
    let series = (0..12).rev().fold(0.0, |sum, term| sum * square + 1.0 / f64::from(2 * term + 1));
    exponent * LN_2 + 2.0 * ratio * series
}

/// e to the power of `x`, for -700 to 700, to about 1e-14 of the result.
pub(super) fn exp(x: f64) -> f64 {
    let halvings = 10;
    let small = x / f64::from(1 << halvings);
    let series = (1..=9).rev().fold(1.0, |sum, term| 1.0 + sum * small / f64::from(term));
    (0..halvings).fold(series, |power, _| power * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithm_and_exponential_agree_with_the_library() {
        for step in 1..2000 {
            let x = f64::from(step) * 0.013;
            assert!((ln(x) - x.ln()).abs() < 1e-13, "{x}");
            let y = f64::from(step - 1000) * 0.02;
            assert!((exp(y) / y.exp() - 1.0).abs() < 1e-11, "{y}");
        }
    }

    #[test]
    fn chance_is_repeatable_and_fair() {
        let mut dice = Dice::new(7, 1);
        let mean = (0..10_000).map(|_| dice.normal()).sum::<f64>() / 10_000.0;
        assert!(mean.abs() < 0.05, "{mean}");
        assert_eq!(Dice::new(7, 3).bits(), Dice::new(7, 3).bits());
        assert_ne!(Dice::new(7, 3).bits(), Dice::new(7, 4).bits());
        let mut seen = [0; 3];
        (0..9000).for_each(|_| seen[dice.pick(&[1.0, 0.0, 2.0])] += 1);
        assert!(seen[1] == 0 && (seen[0] - 3000_i32).abs() < 200, "{seen:?}");
    }

    #[test]
    fn the_largest_of_score_and_draw_follows_the_scores() {
        let (gumbel, mut dice) = (Gumbel::new(), Dice::new(1, 0));
        let wins = (0..8000)
            .filter(|_| {
                let mut scores = [ln(3.0) as f32, 0.0];
                gumbel.add(&mut dice, 1.0, &mut scores);
                scores[0] > scores[1]
            })
            .count();
        assert!((5800..6200).contains(&wins), "{wins}");
    }
}
