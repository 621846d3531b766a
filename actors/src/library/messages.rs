//! What the library actor is asked. Each answers as the method of the contract with its parameters.

use actix::Message;
use protocol::{
    Result, Workflow, WorkflowSid, WorkflowVersion,
    rpc::{
        FlowLibrarySearch, WorkflowCreate, WorkflowRef, WorkflowUpdate, WorkflowVersionAdd,
        WorkflowVersionSetCurrent,
    },
};

macro_rules! message {
    ($(#[$doc:meta])* $name:ident($params:ty) -> $answer:ty) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name(pub $params);

        impl Message for $name {
            type Result = Result<$answer>;
        }
    };
}

message!(
    /// Finds workflows by name and description, see [`super::index`]. Answered as soon as the index
    /// is complete; `unavailable` where it can't be made.
    Search(FlowLibrarySearch) -> Vec<WorkflowSid>
);
message!(
    /// A new workflow with its first version.
    ///
    /// The name (trimmed) has 1 to 256 characters, none of them control characters: else
    /// `invalid_input`; a name that exists is `conflict`, and `sid` in the details says whose it is.
    /// Up to 64 tags of 1 to 128 characters. Description up to 64 KiB, source up to 4 MiB: else
    /// `too_large`. Content is Python source or nodes (with edges), never both. What `@flow` says
    /// (description, inputs, outputs) stands in for what is not given.
    Create(WorkflowCreate) -> Workflow
);
message!(
    /// Changes what is given; the rules are those of [`Create`]. Nothing different: nothing is
    /// written, and the workflow keeps its place among the newest.
    Update(WorkflowUpdate) -> Workflow
);
message!(
    /// Takes it out of the library; answers with what it was. Its plays and versions stay readable.
    Delete(WorkflowRef) -> Workflow
);
message!(
    /// A further version. Where its content is that of the current version, that one is the answer
    /// and nothing is written.
    AddVersion(WorkflowVersionAdd) -> WorkflowVersion
);
message!(
    /// Which version plays use from now on; one of another workflow is `invalid_input`.
    SetCurrent(WorkflowVersionSetCurrent) -> Workflow
);
