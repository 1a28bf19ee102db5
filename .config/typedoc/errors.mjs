// A plugin of typedoc. Each class of errors sets its own `name`, which means the same in all of them; so it is described here
// once, and not in each class, whose lines every process would load.
import { Comment, Converter, ReflectionKind } from 'typedoc';

const MEANING = "The name of the error's class: logs, the dead set and error trackers show it.";

export function load(app) {
  app.converter.on(Converter.EVENT_RESOLVE_END, ({ project }) => {
    for (const property of project.getReflectionsByKind(ReflectionKind.Property)) {
      if (property.name !== 'name' || property.comment || !property.overwrites) continue;
      property.comment = new Comment([{ kind: 'text', text: MEANING }]);
    }
  });
}
