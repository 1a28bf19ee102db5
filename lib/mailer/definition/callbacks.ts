import { around } from '../../job/perform/perform-job';
import type { OutgoingMessage, Receipt } from './mail-types';
import type { AnyMailer } from './mailer-class';

/** The callbacks that `Mailer.callback` adds, by kind: each gets the mailer, then what the method of that name gets. */
export interface MailerCallbacks<M = AnyMailer> {
  /** Runs before the action. */
  readonly beforeAction: (mailer: M, action: string) => unknown;
  /** Runs around the action. */
  readonly aroundAction: (mailer: M, run: () => Promise<void>, action: string) => unknown;
  /** Runs after the action. */
  readonly afterAction: (mailer: M, action: string) => unknown;
  /** Runs on the finished mail. */
  readonly beforeDeliver: (mailer: M, message: OutgoingMessage) => unknown;
  /** Runs around the sending. */
  readonly aroundDeliver: (mailer: M, deliver: () => Promise<void>, message: OutgoingMessage) => unknown;
  /** Runs once the mail is sent. */
  readonly afterDeliver: (mailer: M, message: OutgoingMessage, receipt: Receipt) => unknown;
}

/** The actions that a callback runs for. Default: all. */
export interface CallbackOptions<A extends string = string> {
  /** It runs for these alone. */
  readonly only?: A | readonly A[];
  /** It runs for all but these. */
  readonly except?: A | readonly A[];
}

type Kind = keyof MailerCallbacks;
type Callback = (...args: readonly unknown[]) => unknown;
interface Added extends CallbackOptions {
  readonly kind: Kind;
  readonly callback: Callback;
}

const KINDS: readonly string[] = [
  'beforeAction',
  'aroundAction',
  'afterAction',
  'beforeDeliver',
  'aroundDeliver',
  'afterDeliver',
] satisfies readonly Kind[];
const added = new WeakMap<object, Added[]>();

/** @throws TypeError that names the mailer, for an unknown kind or action, or a callback that is no function. */
export function addCallback(
  mailer: { readonly name: string; readonly prototype: object },
  kind: Kind,
  callback: unknown,
  { only, except }: CallbackOptions,
): void {
  const at = `${mailer.name}.callback`;
  if (!KINDS.includes(kind)) throw new TypeError(`${at}: ${String(kind)} is no callback; give ${KINDS.join(', ')}`);
  if (typeof callback !== 'function') throw new TypeError(`${at}: ${kind} is not a function`);
  const strange = [only ?? [], except ?? []]
    .flat()
    .find((name) => typeof Reflect.get(mailer.prototype, name) !== 'function');
  if (strange !== undefined) {
    throw new TypeError(`${at}: ${mailer.name} has no action ${String(strange)}: name one in only or except`);
  }
  const own = added.get(mailer) ?? [];
  added.set(mailer, own);
  own.push({ kind, callback: callback as Callback, ...(only && { only }), ...(except && { except }) });
}

/**
 * The callbacks of a kind that run for an action: those of the parents, those of the class, then its method. Those that run
 * after something are in the opposite order, so that the first one encloses the others.
 */
export function callbacksOf(mailer: AnyMailer, kind: Kind, action: string): readonly Callback[] {
  const found: Callback[] = [];
  for (let at: object | null = mailer.constructor; at; at = Object.getPrototypeOf(at) as object | null) {
    const own = (added.get(at) ?? []).filter(
      ({ kind: of, only, except }) =>
        of === kind && (only === undefined || [only].flat().includes(action)) && ![except].flat().includes(action),
    );
    found.unshift(
      ...own.map(
        ({ callback }) =>
          (...args: readonly unknown[]) =>
            callback(mailer, ...args),
      ),
    );
  }
  const method = mailer[kind] as Callback | undefined;
  if (method) found.push((...args) => method.apply(mailer, [...args]));
  return kind.startsWith('after') ? found.reverse() : found;
}

/** Runs the callbacks of a kind one after the other. @returns the number of them. */
export async function runCallbacks(mailer: AnyMailer, kind: Kind, action: string, ...args: unknown[]): Promise<number> {
  const callbacks = callbacksOf(mailer, kind, action);
  for (const callback of callbacks) await callback(...args);
  return callbacks.length;
}

/** Runs `inner` inside all callbacks of a kind, the first one outermost. One that does not call its function skips the rest. */
export async function runAround(
  mailer: AnyMailer,
  kind: Kind,
  action: string,
  inner: () => Promise<void>,
  ...args: readonly unknown[]
): Promise<void> {
  const layers = callbacksOf(mailer, kind, action);
  const enter = (index: number): Promise<void> => {
    const layer = layers[index];
    if (!layer) return inner();
    return around(
      (next) => layer(next, ...args),
      () => enter(index + 1),
      `${kind} of ${mailer.constructor.name}`,
    );
  };
  await enter(0);
}
