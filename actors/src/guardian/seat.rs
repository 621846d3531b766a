//! Where an actor is found that is replaced when it dies.
//!
//! `actix::Supervisor` restarts a context that was stopped, and keeps the same value; a handler that
//! panics just ends its actor. So a seat makes a successor from its factory, on the same arbiter,
//! the moment that the dying actor's [`Obituary`] is read. The successor finds its state by itself.
//!
//! A seat must never lose an answer silently: who asked a dead actor asks its successor.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use actix::{Actor, Addr, Context, Handler, Message};
use actix_rt::ArbiterHandle;
use protocol::Error;
use tokio::{sync::watch, time::Instant};

use super::{
    Alarm, Obituary,
    intensity::{Intensity, RESTARTS, WINDOW},
};

/// To how many actors in a row a message is delivered. It may be what kills them.
const DELIVERIES: u32 = 3;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// Nobody sits there any more, nor will.
    Closed,
    /// Several in a row died while they had the message.
    Died,
}

impl From<Unanswered> for Error {
    fn from(why: Unanswered) -> Self {
        match why {
            Unanswered::Closed => {
                Error::unavailable("the server is stopping; ask again when it is back")
            }
            Unanswered::Died => Error::internal(
                "the part of the server that was to answer this failed again and again; see the \
                 server's log, and report it",
            ),
        }
    }
}

type Make<A> = Box<dyn Fn(Obituary) -> A + Send + Sync>;

/// See the module. Its clones are one seat; when the last is gone, the actor is not replaced.
pub struct Seat<A: Actor>(Arc<Inner<A>>);

struct Inner<A: Actor> {
    name: &'static str,
    arbiter: ArbiterHandle,
    make: Arc<Make<A>>,
    occupant: watch::Sender<Occupant<A>>,
    deaths: Mutex<Intensity>,
    alarm: Alarm,
}

enum Occupant<A: Actor> {
    Vacant,
    Taken { generation: u64, addr: Addr<A> },
    Closed,
}

impl<A: Actor> Occupant<A> {
    fn generation(&self) -> u64 {
        match self {
            Self::Vacant => 0,
            Self::Taken { generation, .. } => *generation,
            Self::Closed => u64::MAX,
        }
    }
}

impl<A: Actor<Context = Context<A>>> Seat<A> {
    /// A seat that nobody has taken yet. `make` makes an actor around its obituary; it must not hold
    /// the seat. Where actors die too often, that is said on `alarm`.
    pub fn new(
        name: &'static str,
        arbiter: ArbiterHandle,
        alarm: Alarm,
        make: impl Fn(Obituary) -> A + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Inner {
            name,
            arbiter,
            make: Arc::new(Box::new(make)),
            occupant: watch::Sender::new(Occupant::Vacant),
            deaths: Mutex::default(),
            alarm,
        }))
    }

    /// The first actor takes it.
    pub fn take(&self) {
        Inner::seat(&self.0, 1);
    }

    /// How often the actor was replaced.
    #[must_use]
    pub fn restarts(&self) -> u64 {
        match &*self.0.occupant.borrow() {
            Occupant::Taken { generation, .. } => generation.saturating_sub(1),
            Occupant::Vacant | Occupant::Closed => 0,
        }
    }

    /// Nobody is to sit here any more: the actor that does is left alone and not replaced.
    pub fn close(&self) {
        self.0.occupant.send_replace(Occupant::Closed);
    }

    /// Asks, and asks the successor where the actor dies without having answered. So what is asked
    /// must be the same when it is asked twice.
    ///
    /// # Errors
    /// See [`Unanswered`].
    pub async fn ask<M>(&self, message: M) -> Result<M::Result, Unanswered>
    where
        M: Message + Clone + Send + 'static,
        M::Result: Send,
        A: Handler<M>,
    {
        let mut last = 0;
        for _ in 0..DELIVERIES {
            let addr = self.after(last).await?;
            last = addr.0;
            match addr.1.send(message.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => tracing::debug!(name = self.0.name, %error, "asking the successor"),
            }
        }
        // Whether it was the last to die, or the seat was closed meanwhile.
        self.after(last).await?;
        Err(Unanswered::Died)
    }

    /// Asks once.
    ///
    /// # Errors
    /// `Closed` where nobody sits there or whoever did has died.
    pub async fn send<M>(&self, message: M) -> Result<M::Result, Unanswered>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        A: Handler<M>,
    {
        let (_, addr) = self.after(0).await?;
        addr.send(message).await.map_err(|_| Unanswered::Closed)
    }

    /// Tells whoever sits there, if anybody does: for what a successor finds out by itself.
    pub fn tell<M>(&self, message: M)
    where
        M: Message + Send + 'static,
        M::Result: Send,
        A: Handler<M>,
    {
        let addr = match &*self.0.occupant.borrow() {
            Occupant::Taken { addr, .. } => addr.clone(),
            Occupant::Vacant | Occupant::Closed => return,
        };
        addr.do_send(message);
    }

    /// The first occupant after this generation.
    async fn after(&self, generation: u64) -> Result<(u64, Addr<A>), Unanswered> {
        let mut occupant = self.0.occupant.subscribe();
        let next = occupant.wait_for(|now| now.generation() > generation).await;
        match next.as_deref() {
            Ok(Occupant::Taken { generation, addr }) => Ok((*generation, addr.clone())),
            _ => Err(Unanswered::Closed),
        }
    }
}

impl<A: Actor<Context = Context<A>>> Inner<A> {
    fn seat(this: &Arc<Self>, generation: u64) {
        let weak = Arc::downgrade(this);
        // Made here and handed in: where the arbiter is gone, dropping it tells.
        let obituary = Obituary::new(move |words| {
            if let Some(seat) = weak.upgrade() {
                Self::died(&seat, generation, words);
            }
        });
        let make = this.make.clone();
        let addr = A::start_in_arbiter(&this.arbiter, move |_| make(obituary));
        this.occupant.send_if_modified(|now| {
            // It can have died and been replaced by now.
            let next = now.generation() < generation;
            if next {
                *now = Occupant::Taken { generation, addr };
            }
            next
        });
    }

    fn died(this: &Arc<Self>, generation: u64, words: Option<String>) {
        let name = this.name;
        if matches!(*this.occupant.borrow(), Occupant::Closed) {
            return;
        }
        let why = words.unwrap_or_else(|| "it was dropped".into());
        let forgiven = this
            .deaths
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .forgives(Instant::now());
        if forgiven {
            tracing::error!(name, why, "an actor died and is replaced");
            Self::seat(this, generation + 1);
            return;
        }
        this.occupant.send_replace(Occupant::Closed);
        this.alarm.raise(Error::internal(format!(
            "the {name} died more than {RESTARTS} times within {} s, at last of: {why}",
            WINDOW.as_secs()
        )));
    }
}

impl<A: Actor> Clone for Seat<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A: Actor> fmt::Debug for Seat<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat")
            .field("name", &self.0.name)
            .field("generation", &self.0.occupant.borrow().generation())
            .finish_non_exhaustive()
    }
}
