//! Append units: the bytes that are appended to an archive in one step.

use crate::model::CapturedData;

/// Pieces that are appended to an archive together, in their order.
#[derive(Debug, Default)]
pub(super) struct AppendUnit {
    pieces: Vec<Piece>,
    length: u64,
}

/// A piece of a unit.
#[derive(Debug)]
pub(super) enum Piece {
    /// Bytes in memory.
    Bytes(Vec<u8>),
    /// The spool file of this name, with its length in bytes.
    File(String, u64),
}

impl Piece {
    /// The encoded body, which has `length` bytes.
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
    /// A unit of these pieces.
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
