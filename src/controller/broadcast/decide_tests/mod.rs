//! The decision, case by case, in a world of plain data.

mod batches;
mod health;
mod holds;
mod refusals;
mod stalls;
mod telling;
mod waves;
mod world;
mod writes;
