//! The decision, case by case, in a world of plain data.

mod batches;
mod health;
mod holds;
mod stalls;
mod waves;
mod world;
mod writes;
