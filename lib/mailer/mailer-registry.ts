import { UserError } from '../core/errors';
import { type LoadOptions, loadClasses } from '../core/load-classes';
import type { MailerClass, MailerLookup } from './definition/mailer-class';
import { Mailer } from './mailer';

export class MailerRegistry implements MailerLookup {
  private readonly classes = new Map<string, MailerClass>();

  constructor(
    readonly place: string,
    classes: Iterable<MailerClass> = [],
  ) {
    for (const mailer of classes) this.add(mailer);
  }

  /** @throws UserError when another mailer has the name. */
  add(mailer: MailerClass): void {
    if (this.classes.has(mailer.name)) {
      throw new UserError(
        `there is another mailer named ${mailer.name}: rename one, since enqueued mails name their mailer`,
      );
    }
    this.classes.set(mailer.name, mailer);
  }

  get size(): number {
    return this.classes.size;
  }

  get(name: string): MailerClass | undefined {
    return this.classes.get(name);
  }

  [Symbol.iterator](): Iterator<MailerClass> {
    return this.classes.values();
  }
}

/**
 * Loads every mailer of a folder, one exported subclass of `Mailer` per file. Subfolders are not searched: they hold
 * templates, previews and code that mailers share. A missing folder has no mailers.
 * @throws UserError that names the file and the reason.
 */
export async function loadMailers(folder: string, { importFile, onFault }: LoadOptions = {}): Promise<MailerRegistry> {
  const mailers = new MailerRegistry(folder);
  await loadClasses(folder, {
    isOne: isMailerClass,
    importFile,
    onFault,
    take: ([mailer, another]) => {
      if (!mailer)
        throw new UserError(
          'a file in the mailers folder must export a subclass of Mailer: export it, or move the file into a subfolder',
        );
      if (another) {
        throw new UserError(`it exports ${mailer.name} and ${another.name}: give each a file of its own`);
      }
      mailers.add(mailer);
    },
  });
  return mailers;
}

function isMailerClass(value: unknown): value is MailerClass {
  return typeof value === 'function' && value.prototype instanceof Mailer;
}
