//! Where a traversal of a module stands: the path to a parameter, and the struct that owns it.

use std::collections::HashSet;

use burn::Tensor;
use burn::module::{Module, ModuleMapper, Param, ParamId};

/// The names and container types entered so far, outermost first.
#[derive(Debug, Default)]
pub(crate) struct Path(Vec<(String, String)>);

impl Path {
    pub(crate) fn enter(&mut self, name: &str, container: &str) {
        self.0.push((name.to_owned(), container.to_owned()));
    }

    pub(crate) fn exit(&mut self) {
        self.0.pop();
    }

    /// The names joined by dots, as in `blocks.1.bn2.gamma`.
    pub(crate) fn dotted(&self) -> String {
        self.0.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(".")
    }

    /// The names without the last, joined by dots: the path of the struct whose field this is.
    pub(crate) fn parent(&self) -> String {
        let names = &self.0[..self.0.len().saturating_sub(1)];
        names.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(".")
    }

    /// Bare type name of the struct whose field was entered last; none inside of a list.
    pub(crate) fn innermost(&self) -> Option<&str> {
        self.0.last()?.1.strip_prefix("Struct:")
    }

    /// Field and bare type name of the innermost struct or enum; both empty for a parameter outside of one.
    ///
    /// Indices of `Vec`s, arrays and tuples are skipped: the owner of `weights.0` is the struct with the field `weights`.
    pub(crate) fn owner(&self) -> (&str, &str) {
        self.0
            .iter()
            .rev()
            .find_map(|(name, container)| {
                let module = container.strip_prefix("Struct:").or_else(|| container.strip_prefix("Enum:"))?;
                Some((name.as_str(), module))
            })
            .unwrap_or_default()
    }
}

/// Identifiers of the module's running states: floats that a forward pass updates and no optimizer does.
///
/// A visitor sees them as ordinary parameters. They are told apart by what only they do: they keep their identifier
/// through a mapping that gives every float a new one. No parameter is initialized, no value is changed.
pub(crate) fn running_states<M: Module>(module: &M) -> HashSet<ParamId> {
    #[derive(Default)]
    struct Rename {
        given: HashSet<ParamId>,
    }
    impl ModuleMapper for Rename {
        fn map_float<const D: usize>(&mut self, mut param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.id = ParamId::new();
            self.given.insert(param.id);
            param
        }
    }
    struct Kept(HashSet<ParamId>, HashSet<ParamId>);
    impl burn::module::ModuleVisitor for Kept {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if !self.0.contains(&param.id) {
                self.1.insert(param.id);
            }
        }
    }
    let mut rename = Rename::default();
    let renamed = module.clone().map(&mut rename);
    let mut kept = Kept(rename.given, HashSet::new());
    renamed.visit(&mut kept);
    kept.1
}
