import { UserError } from '../../core/errors';
import { type LoadOptions, loadClasses } from '../../core/load-classes';
import { MailerPreview, type PreviewClass } from '../mailer';

export interface PreviewName {
  /** Class name without its `Preview`, such as `UserMailer`. */
  readonly mailer: string;
  /** Method name, such as `welcome`. */
  readonly action: string;
}

/** The previews of an app, by mailer name. */
export class Previews {
  private readonly classes = new Map<string, PreviewClass>();

  /** @throws UserError for a class name that does not end in Preview, or that is taken. */
  add(preview: PreviewClass): void {
    const mailer = preview.name.replace(/Preview$/, '');
    if (mailer === preview.name || mailer === '') {
      throw new UserError(`its class is named ${preview.name || 'nothing'}; name it after a mailer: UserMailerPreview`);
    }
    if (this.classes.has(mailer))
      throw new UserError(`there is another ${preview.name}: put the methods of both into one class`);
    this.classes.set(mailer, preview);
  }

  /** Lists every preview: mailers sorted by name, methods in source order. */
  names(): PreviewName[] {
    const sorted = [...this.classes].sort(([a], [b]) => (a < b ? -1 : 1));
    return sorted.flatMap(([mailer, preview]) => listActions(preview).map((action) => ({ mailer, action })));
  }

  /** @returns undefined when there is no such preview; methods of `MailerPreview` and `Object` are none. */
  find({ mailer, action }: PreviewName): PreviewClass | undefined {
    const preview = this.classes.get(mailer);
    return preview && listActions(preview).includes(action) ? preview : undefined;
  }
}

/** Returns the preview methods, inherited ones last. */
function listActions(preview: PreviewClass): string[] {
  const found = new Set<string>();
  for (let at: object = preview.prototype; at !== MailerPreview.prototype; at = Object.getPrototypeOf(at)) {
    const own = Object.getOwnPropertyNames(at).filter((name) => isAction(at, name));
    for (const name of own) found.add(name);
  }
  return [...found];
}

function isAction(prototype: object, name: string): boolean {
  const { value } = Object.getOwnPropertyDescriptor(prototype, name) ?? {};
  return name !== 'constructor' && !name.startsWith('_') && typeof value === 'function';
}

/**
 * Loads every preview of a folder: one exported subclass of `MailerPreview` per file. A missing folder has none.
 * @throws UserError that names the file and the reason.
 */
export async function loadPreviews(folder: string, { importFile, onFault }: LoadOptions = {}): Promise<Previews> {
  const previews = new Previews();
  await loadClasses(folder, {
    isOne: isPreviewClass,
    importFile,
    onFault,
    take: ([preview, another]) => {
      if (!preview || another) {
        throw new UserError('a file in the previews folder must export one subclass of MailerPreview');
      }
      previews.add(preview);
    },
  });
  return previews;
}

function isPreviewClass(value: unknown): value is PreviewClass {
  return typeof value === 'function' && value.prototype instanceof MailerPreview;
}

interface OfOnePreview extends PreviewName {
  readonly locale: string | null;
}

/** A web worker's request to the process that renders previews. */
export type PreviewRequest = { readonly id: number } & (
  | { readonly ask: 'names' }
  | ({ readonly ask: 'mail' } & OfOnePreview)
);

/** The answer to a PreviewRequest, as plain data that can cross the IPC channel. */
export type PreviewResponse =
  | { readonly kind: 'names'; readonly names: readonly PreviewName[] }
  | PreviewedMail
  /** The action builds no mail for the preview's arguments. */
  | { readonly kind: 'none' }
  /** There is no preview of that name. */
  | { readonly kind: 'unknown' }
  | PreviewError;

export interface PreviewedMail {
  readonly kind: 'mail';
  /** The whole message, base64. */
  readonly eml: string;
  /** Listed here because the message itself has no Bcc header. */
  readonly bcc: readonly string[];
  readonly locale: string;
}

/** The preview, the action or a template failed. */
export interface PreviewError {
  readonly kind: 'fault';
  readonly name: string;
  readonly message: string;
  readonly stack: string;
}
