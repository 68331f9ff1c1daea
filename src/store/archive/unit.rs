//! What is appended to an archive in one step.

use crate::model::CapturedData;

/// Pieces that are appended to one archive, one after another.
#[derive(Debug, Default)]
pub(super) struct AppendUnit {
    pieces: Vec<Piece>,
    length: u64,
}

/// A piece of what is appended.
#[derive(Debug)]
pub(super) enum Piece {
    /// These bytes.
    Bytes(Vec<u8>),
    /// The file of this name, in the folder for bodies that are under way, with its length.
    File(String, u64),
}

impl Piece {
    /// The encoded bytes of a body, so many.
    pub(super) fn of(data: CapturedData, length: u64) -> Self {
        match data {
            CapturedData::Memory(bytes) => Self::Bytes(bytes),
            CapturedData::File(name) => Self::File(name, length),
        }
    }

    fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(_, length) => *length,
        }
    }
}

impl AppendUnit {
    /// These pieces.
    pub(super) fn of(pieces: impl IntoIterator<Item = Piece>) -> Self {
        let mut unit = Self::default();
        pieces.into_iter().for_each(|piece| unit.push(piece));
        unit
    }

    /// Adds a piece.
    pub(super) fn push(&mut self, piece: Piece) {
        self.length += piece.length();
        self.pieces.push(piece);
    }

    /// Its length in bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Its pieces.
    pub(super) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }
}
