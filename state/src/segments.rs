//! Copy-on-write slices of a team.

use std::sync::Arc;

/// A growing list in `Arc` slices of at most `N`. Clones share every slice until one of them writes to it, so the
/// writer's version of a team that runs ahead and the counted one share what is equal.
#[derive(Clone, Debug)]
pub(crate) struct Segments<T, const N: usize> {
    slices: Vec<Arc<Vec<T>>>,
    len: usize,
}

impl<T, const N: usize> Default for Segments<T, N> {
    fn default() -> Self {
        Segments { slices: Vec::new(), len: 0 }
    }
}

impl<T: Clone, const N: usize> Segments<T, N> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Adds one at the end and says its index.
    pub(crate) fn push(&mut self, item: T) -> u32 {
        if self.len == self.slices.len() * N {
            self.slices.push(Arc::new(Vec::with_capacity(8)));
        }
        Arc::make_mut(&mut self.slices[self.len / N]).push(item);
        self.len += 1;
        u32::try_from(self.len - 1).expect("fewer than 2^32 people or conversations in a team")
    }

    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        self.slices.get(index as usize / N)?.get(index as usize % N)
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        Arc::make_mut(self.slices.get_mut(index as usize / N)?).get_mut(index as usize % N)
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.slices.iter().flat_map(|slice| slice.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_what_is_equal() {
        let mut ahead: Segments<u32, 2> = Segments::default();
        for i in 0..5 {
            assert_eq!(ahead.push(i), i);
        }
        let counted = ahead.clone();
        *ahead.get_mut(3).unwrap() = 33;
        assert_eq!(counted.iter().copied().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert_eq!(ahead.iter().copied().collect::<Vec<_>>(), [0, 1, 2, 33, 4]);
        assert!(Arc::ptr_eq(&ahead.slices[0], &counted.slices[0]));
        assert!(!Arc::ptr_eq(&ahead.slices[1], &counted.slices[1]));
        assert_eq!(ahead.get(5), None);
    }
}
