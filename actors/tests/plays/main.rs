//! The runtime's actors, asked through its methods and addresses, in a universe of virtual time.

#[cfg(test)]
mod cancelling;
#[cfg(test)]
mod faults;
mod handover;
#[cfg(test)]
mod nesting;
mod nodes;
#[cfg(test)]
mod outcomes;
#[cfg(test)]
mod outliving;
#[cfg(test)]
mod pacing;
#[cfg(test)]
mod panics;
#[cfg(test)]
mod pausing;
#[cfg(test)]
mod pushing;
#[cfg(test)]
mod queueing;
#[cfg(test)]
mod sequences;
#[cfg(test)]
mod starting;
#[cfg(test)]
mod stopping;
#[cfg(test)]
mod supervision;
#[cfg(test)]
mod waiting;
