use burn::module::{Flag, Module, ModuleMapper, Param};

use crate::model::deep_copy;

/// A copy of `model` that computes as in evaluation (dropout off, batch norm by its running statistics), with gradients.
///
/// `valid()` would give the first without the second: there, evaluation is the absence of autodiff.
pub(super) fn evaluated<M: Module>(model: &M) -> M {
    #[derive(Default)]
    struct Off {
        fields: Vec<String>,
    }
    impl ModuleMapper for Off {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.fields.push(name.to_owned());
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.fields.pop();
        }
        fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
            if self.fields.last().is_some_and(|field| field == "training") { flag.with_value(false) } else { flag }
        }
    }
    deep_copy(model).map(&mut Off::default())
}
