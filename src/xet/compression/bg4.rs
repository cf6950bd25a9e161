//! Regroups bytes by their position modulo four, and back.
//!
//! In an array of four-byte numbers the high bytes resemble one another far more than their neighbours; brought
//! together they compress. Of `n` bytes group `g` holds those at `g, g + 4, ...`: the first `n % 4` groups are one
//! byte longer than the others.

/// The four groups of a regrouped buffer.
fn groups(regrouped: &[u8]) -> [&[u8]; 4] {
    let (quarter, longer) = (regrouped.len() / 4, regrouped.len() % 4);
    let mut rest = regrouped;
    [0, 1, 2, 3].map(|group| {
        let (head, tail) = rest.split_at(quarter + usize::from(group < longer));
        rest = tail;
        head
    })
}

/// Regroups `raw` into `out`, replacing what was there.
pub(super) fn split(raw: &[u8], out: &mut Vec<u8>) {
    let (words, tail) = raw.as_chunks::<4>();
    out.clear();
    for group in 0..4 {
        out.extend(words.iter().map(|word| word[group]));
        out.extend(tail.get(group));
    }
}

/// The inverse of [`split`].
pub(super) fn join(regrouped: &[u8]) -> Vec<u8> {
    let [a, b, c, d] = groups(regrouped);
    let mut raw = vec![0; regrouped.len()];
    let (words, tail) = raw.as_chunks_mut::<4>();
    for ((((word, a), b), c), d) in words.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        *word = [*a, *b, *c, *d];
    }
    for (byte, group) in tail.iter_mut().zip([a, b, c]) {
        *byte = group[group.len() - 1];
    }
    raw
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_grouped_by_position_modulo_four() {
        let mut out = vec![9; 3];
        split(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], &mut out);
        assert_eq!(out, [0, 4, 8, 1, 5, 9, 2, 6, 3, 7]);
    }

    #[test]
    fn joining_undoes_splitting_at_every_remainder() {
        for len in 0..=67u8 {
            let raw: Vec<u8> = (0..len).collect();
            let mut out = Vec::new();
            split(&raw, &mut out);
            assert_eq!(join(&out), raw);
        }
    }
}
