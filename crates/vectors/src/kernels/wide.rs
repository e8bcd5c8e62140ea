//! The kernels that AVX2 and AVX-512 share: the macro writes them in terms of the registers that its module defines
//! (`WIDTH`, `Register`, `load`, `load_first`, `store`, `store_first`, `fused`, `splat`, `zero`, `sum`, `sums`), compiled for the
//! instructions that it names.

/// Writes the kernels for the instructions `$features`.
macro_rules! wide_kernels {
    ($features:literal) => {
        /// Rows that are taken at once: enough independent sums to hide the latency of one.
        const ROWS: usize = 8;
        /// How many numbers ahead rows are asked of memory.
        const AHEAD: usize = 2048;
        /// Numbers of a row's terms that the second-level cache keeps from one product to the next; beyond, they are asked for
        /// each time.
        const CACHED_NUMBERS: usize = 1 << 17;

        #[target_feature(enable = $features)]
        pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
            let length = a.len().min(b.len());
            let (a, b) = (a.as_ptr(), b.as_ptr());
            let mut sums = [zero(); 4];
            let mut at = 0;
            // SAFETY: every load ends at or before `length`; what lies behind is not read.
            unsafe {
                while at + 4 * WIDTH <= length {
                    for (lane, sum) in sums.iter_mut().enumerate() {
                        let from = at + lane * WIDTH;
                        *sum = fused(load(a.add(from)), load(b.add(from)), *sum);
                    }
                    at += 4 * WIDTH;
                }
                while at + WIDTH <= length {
                    sums[0] = fused(load(a.add(at)), load(b.add(at)), sums[0]);
                    at += WIDTH;
                }
                if at < length {
                    let rest = length - at;
                    sums[1] = fused(load_first(a.add(at), rest), load_first(b.add(at), rest), sums[1]);
                }
            }
            sum(add(add(sums[0], sums[1]), add(sums[2], sums[3])))
        }

        #[target_feature(enable = $features)]
        pub(super) fn axpy(alpha: f32, x: &[f32], y: &mut [f32]) {
            let length = x.len().min(y.len());
            let (x, y) = (x.as_ptr(), y.as_mut_ptr());
            let factor = splat(alpha);
            let mut at = 0;
            // SAFETY: every load and store ends at or before `length`; what lies behind is neither read nor written.
            unsafe {
                while at + WIDTH <= length {
                    store(y.add(at), fused(factor, load(x.add(at)), load(y.add(at))));
                    at += WIDTH;
                }
                if at < length {
                    let rest = length - at;
                    let sum = fused(factor, load_first(x.add(at), rest), load_first(y.add(at), rest));
                    store_first(y.add(at), rest, sum);
                }
            }
        }

        #[target_feature(enable = $features)]
        pub(super) fn inner_products(matrix: &[f32], query: &[f32], out: &mut [f32]) {
            let dimension = query.len();
            let (blocks, rest) = out.as_chunks_mut::<ROWS>();
            let mut rows = matrix.chunks_exact(dimension);
            for block in blocks {
                let mut eight = [query.as_ptr(); ROWS];
                for (pointer, row) in eight.iter_mut().zip(&mut rows) {
                    *pointer = row.as_ptr();
                }
                // SAFETY: each pointer is to `dimension` numbers, a row's or the query's.
                unsafe { _mm256_storeu_ps(block.as_mut_ptr(), dots(&eight, query.as_ptr(), dimension)) };
            }
            for (row, score) in rows.zip(rest) {
                *score = dot(row, query);
            }
        }

        /// As [`super::dots_of`].
        #[target_feature(enable = $features)]
        pub(super) fn dots_of(matrix: &[f32], rows: &[u32], query: &[f32], out: &mut [f32]) {
            let length = query.len();
            let ask = |rows: &[u32]| prefetch(matrix.as_ptr(), rows, length);
            ask(&rows[..rows.len().min(2 * ROWS)]);
            for (block, (own, out)) in rows.chunks(ROWS).zip(out.chunks_mut(ROWS)).enumerate() {
                ask(rows.chunks(ROWS).nth(block + 2).unwrap_or_default());
                for (&row, score) in own.iter().zip(out) {
                    *score = dot(&matrix[row as usize * length..][..length], query);
                }
            }
        }

        /// As [`super::Panels::multiply`], for `K` vectors: `out_k = sum_j vectors_k[j] panel_j`, panel by panel.
        ///
        /// # Safety
        /// `panels` holds `length` rows of `PANEL` numbers for each panel; each vector and each row of `out` holds `length`.
        #[target_feature(enable = $features)]
        pub(super) unsafe fn multiply_panels<const K: usize>(
            panels: &[f32],
            vectors: &[f32],
            out: &mut [f32],
        ) {
            let length = vectors.len() / K;
            let (vectors, out) = (vectors.as_ptr(), out.as_mut_ptr());
            for column in (0..length).step_by(PANEL) {
                for part in (0..PANEL.min(length - column)).step_by(2 * WIDTH) {
                    // SAFETY: `j` stays below `length`, and the part within the panel's rows.
                    unsafe {
                        let panel = panels.as_ptr().add(column * length + part);
                        let mut sums = [[zero(); 2]; K];
                        for j in 0..length {
                            let row = [load(panel.add(j * PANEL)), load(panel.add(j * PANEL + WIDTH))];
                            for k in 0..K {
                                let factor = splat(*vectors.add(k * length + j));
                                sums[k][0] = fused(factor, row[0], sums[k][0]);
                                sums[k][1] = fused(factor, row[1], sums[k][1]);
                            }
                        }
                        for (k, sums) in sums.into_iter().enumerate() {
                            for (half, sum) in sums.into_iter().enumerate() {
                                let at = column + part + half * WIDTH;
                                let room = (length - at.min(length)).min(WIDTH);
                                let to = out.add(k * length + at.min(length));
                                if room == WIDTH { store(to, sum) } else { store_first(to, room, sum) }
                            }
                        }
                    }
                }
            }
        }

        /// As [`super::NormalTerms::add`].
        ///
        /// # Safety
        /// Every row is one of `matrix`, whose rows are as long as `x` and `out`; `slopes` and `offsets` are as many as rows.
        #[target_feature(enable = $features)]
        pub(super) unsafe fn add_terms(
            matrix: &[f32],
            rows: &[u32],
            slopes: &[f32],
            offsets: Option<&[f32]>,
            x: &[f32],
            out: &mut [f32],
        ) {
            // SAFETY: as the caller promises; the constant is the length of a row.
            unsafe {
                match x.len() {
                    32 => terms_of::<32>(matrix, rows, slopes, offsets, x, out),
                    64 => terms_of::<64>(matrix, rows, slopes, offsets, x, out),
                    96 => terms_of::<96>(matrix, rows, slopes, offsets, x, out),
                    128 => terms_of::<128>(matrix, rows, slopes, offsets, x, out),
                    _ => terms_of::<0>(matrix, rows, slopes, offsets, x, out),
                }
            }
        }

        /// [`add_terms`] for rows of `LENGTH`, so that loops over them unroll; 0 stands for any length.
        #[inline]
        #[target_feature(enable = $features)]
        unsafe fn terms_of<const LENGTH: usize>(
            matrix: &[f32],
            rows: &[u32],
            slopes: &[f32],
            offsets: Option<&[f32]>,
            x: &[f32],
            out: &mut [f32],
        ) {
            let length = if LENGTH == 0 { x.len() } else { LENGTH };
            let (matrix, x, out) = (matrix.as_ptr(), x.as_ptr(), out.as_mut_ptr());
            let (blocks, rest) = rows.as_chunks::<ROWS>();
            let far = rows.len() * length > CACHED_NUMBERS;
            let ahead = (AHEAD / (ROWS * length)).max(1);
            // A block is added while the inner products of the next are under way, which it does not have to wait for.
            let mut ready: Option<([*const f32; ROWS], __m256)> = None;
            for (block, own) in blocks.iter().enumerate() {
                // SAFETY: as the caller promises; a block is eight rows.
                unsafe {
                    let first = block * ROWS;
                    if offsets.is_some() || far {
                        prefetch(matrix, blocks.get(block + ahead).map_or(rest, |next| next), length);
                    }
                    let rows = own.map(|row| matrix.add(row as usize * length));
                    let slopes = _mm256_loadu_ps(slopes.as_ptr().add(first));
                    let offsets = match offsets {
                        Some(all) => _mm256_loadu_ps(all.as_ptr().add(first)),
                        None => _mm256_setzero_ps(),
                    };
                    let factors = _mm256_fmadd_ps(slopes, dots(&rows, x, length), offsets);
                    if let Some((rows, factors)) = ready.replace((rows, factors)) {
                        add_rows(&rows, factors, out, length);
                    }
                }
            }
            // SAFETY: as the caller promises; rows that are missing have factors of zero.
            unsafe {
                if !rest.is_empty() {
                    let first = rows.len() - rest.len();
                    let rows = padded(matrix, rest, length);
                    let slopes = load_eight(&slopes[first..]);
                    let offsets = match offsets {
                        Some(all) => load_eight(&all[first..]),
                        None => _mm256_setzero_ps(),
                    };
                    let factors = _mm256_fmadd_ps(slopes, dots(&rows, x, length), offsets);
                    if let Some((rows, factors)) = ready.replace((rows, factors)) {
                        add_rows(&rows, factors, out, length);
                    }
                }
                if let Some((rows, factors)) = ready {
                    add_rows(&rows, factors, out, length);
                }
            }
        }

        /// As [`super::NormalTerms::curvature`].
        ///
        /// # Safety
        /// Every row is one of `matrix`, whose rows are as long as `x`; `slopes` are as many as rows.
        #[target_feature(enable = $features)]
        pub(super) unsafe fn curvature(matrix: &[f32], rows: &[u32], slopes: &[f32], x: &[f32]) -> f32 {
            // SAFETY: as the caller promises; the constant is the length of a row.
            unsafe {
                match x.len() {
                    32 => curvature_of::<32>(matrix, rows, slopes, x),
                    64 => curvature_of::<64>(matrix, rows, slopes, x),
                    96 => curvature_of::<96>(matrix, rows, slopes, x),
                    128 => curvature_of::<128>(matrix, rows, slopes, x),
                    _ => curvature_of::<0>(matrix, rows, slopes, x),
                }
            }
        }

        /// [`curvature`] for rows of `LENGTH`, as for [`terms_of`].
        #[inline]
        #[target_feature(enable = $features)]
        unsafe fn curvature_of<const LENGTH: usize>(
            matrix: &[f32],
            rows: &[u32],
            slopes: &[f32],
            x: &[f32],
        ) -> f32 {
            let length = if LENGTH == 0 { x.len() } else { LENGTH };
            let (matrix, x) = (matrix.as_ptr(), x.as_ptr());
            let (blocks, rest) = rows.as_chunks::<ROWS>();
            let far = rows.len() * length > CACHED_NUMBERS;
            let ahead = (AHEAD / (ROWS * length)).max(1);
            let mut sum = _mm256_setzero_ps();
            for (block, own) in blocks.iter().enumerate() {
                // SAFETY: as the caller promises; a block is eight rows.
                unsafe {
                    if far {
                        prefetch(matrix, blocks.get(block + ahead).map_or(rest, |next| next), length);
                    }
                    let rows = own.map(|row| matrix.add(row as usize * length));
                    let dots = dots(&rows, x, length);
                    let slopes = _mm256_loadu_ps(slopes.as_ptr().add(block * ROWS));
                    sum = _mm256_fmadd_ps(_mm256_mul_ps(slopes, dots), dots, sum);
                }
            }
            if !rest.is_empty() {
                // SAFETY: as the caller promises; rows that are missing have slopes of zero.
                unsafe {
                    let dots = dots(&padded(matrix, rest, length), x, length);
                    let slopes = load_eight(&slopes[rows.len() - rest.len()..]);
                    sum = _mm256_fmadd_ps(_mm256_mul_ps(slopes, dots), dots, sum);
                }
            }
            sum_of_eight(sum)
        }

        /// Where one to eight rows start; the first one stands for those that are missing.
        #[inline]
        #[target_feature(enable = $features)]
        unsafe fn padded(matrix: *const f32, rows: &[u32], length: usize) -> [*const f32; ROWS] {
            // SAFETY: the caller promises that the rows are of the matrix.
            let mut pointers = [unsafe { matrix.add(rows[0] as usize * length) }; ROWS];
            for (pointer, &row) in pointers.iter_mut().zip(rows) {
                // SAFETY: the same.
                *pointer = unsafe { matrix.add(row as usize * length) };
            }
            pointers
        }

        /// Asks memory for rows.
        #[inline]
        #[target_feature(enable = $features)]
        fn prefetch(matrix: *const f32, rows: &[u32], length: usize) {
            for &row in rows {
                let start = matrix.wrapping_add(row as usize * length);
                for line in (0..length).step_by(LINE) {
                    _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(line).cast());
                }
            }
        }

        /// The inner products of eight rows with one query; every pointer is to `length` numbers.
        #[inline]
        #[target_feature(enable = $features)]
        unsafe fn dots(rows: &[*const f32; ROWS], query: *const f32, length: usize) -> __m256 {
            let mut sums = [zero(); ROWS];
            let mut at = 0;
            // SAFETY: every load ends at or before `length`; what lies behind is not read.
            unsafe {
                while at + WIDTH <= length {
                    let part = load(query.add(at));
                    for k in 0..ROWS {
                        sums[k] = fused(load(rows[k].add(at)), part, sums[k]);
                    }
                    at += WIDTH;
                }
                if at < length {
                    let part = load_first(query.add(at), length - at);
                    for k in 0..ROWS {
                        sums[k] = fused(load_first(rows[k].add(at), length - at), part, sums[k]);
                    }
                }
            }
            eight_sums(&sums)
        }

        /// `out += sum of factors_k rows_k`; every pointer is to `length` numbers.
        #[inline]
        #[target_feature(enable = $features)]
        unsafe fn add_rows(rows: &[*const f32; ROWS], factors: __m256, out: *mut f32, length: usize) {
            let mut numbers = [0.0f32; ROWS];
            let mut at = 0;
            // SAFETY: every load and store ends at or before `length`; what lies behind is neither read nor written.
            unsafe {
                _mm256_storeu_ps(numbers.as_mut_ptr(), factors);
                let factors = numbers.map(|number| splat(number));
                while at + WIDTH <= length {
                    // What is carried from block to block is one addition.
                    let mut sum = multiply(factors[0], load(rows[0].add(at)));
                    for k in 1..ROWS {
                        sum = fused(factors[k], load(rows[k].add(at)), sum);
                    }
                    store(out.add(at), add(load(out.add(at)), sum));
                    at += WIDTH;
                }
                if at < length {
                    let rest = length - at;
                    let mut sum = load_first(out.add(at), rest);
                    for k in 0..ROWS {
                        sum = fused(factors[k], load_first(rows[k].add(at), rest), sum);
                    }
                    store_first(out.add(at), rest, sum);
                }
            }
        }

        /// Fewer numbers than eight; zeros behind them.
        #[inline]
        #[target_feature(enable = $features)]
        fn load_eight(numbers: &[f32]) -> __m256 {
            let mut padded = [0.0f32; ROWS];
            for (to, from) in padded.iter_mut().zip(numbers) {
                *to = *from;
            }
            // SAFETY: there are eight.
            unsafe { _mm256_loadu_ps(padded.as_ptr()) }
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn sum_of_eight(eight: __m256) -> f32 {
            let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    };
}

pub(super) use wide_kernels;
