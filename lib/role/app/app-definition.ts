import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { EXIT, requireNode, UserError } from '../../core/errors';
import type { EventName, Events } from '../../core/events';
import type { Migrations } from '../../model/migrations';
import { toError } from '../../support/to-error';
import type { AppDefinition, AppOptions, Hooks, OwnPart } from './app-options';

export type * from './app-options';

const OWN_PARTS: readonly OwnPart[] = [
  'koa',
  'bodyParser',
  'headers',
  'probes',
  'server',
  'beforeFork',
  'beforeRestart',
  'workerBoot',
  'workerStop',
  'ops',
];

/** Options that name a folder; `false` means none. */
export const FOLDERS = ['jobs', 'models', 'migrations', 'mailers', 'previews', 'templates', 'locales'] as const;

/**
 * Checks the app's manifest and resolves its folders. Its result is what `boot` and `connect` take; `app.js` exports it.
 * @throws UserError when the name or the root cannot be used. Ends the process on a Node.js that is too old.
 */
export function defineApp(options: AppOptions): AppDefinition {
  requireNode();
  const refuse = (option: keyof AppOptions, remedy: string): never => {
    throw new UserError(`defineApp: ${option} is ${JSON.stringify(options[option])}; ${remedy}`, EXIT.config);
  };
  if (typeof options.name !== 'string' || !/^[A-Za-z][\w-]*$/.test(options.name))
    refuse('name', 'use letters, digits, - and _, such as shop');
  if (typeof options.root !== 'string' || !path.isAbsolute(options.root))
    refuse('root', 'give an absolute path, such as __dirname');
  const templates = [options.templates || 'mailers/templates'].flat();
  for (const option of FOLDERS) {
    const given = option === 'templates' && templates.length > 0 ? templates : [options[option] || ''];
    if (given.some((each) => typeof each !== 'string')) refuse(option, 'give a folder below root, such as src/jobs');
  }
  const folder = (given: string | undefined, standard: string) => path.resolve(options.root, given ?? standard);
  return Object.freeze({
    name: options.name,
    root: options.root,
    routes: options.routes ?? (async () => ({ default: () => undefined })),
    jobsDir: folder(options.jobs, 'jobs'),
    jobSetup: options.jobSetup,
    modelsDir: folder(options.models, 'models'),
    migrationsDir: options.migrations === false ? false : folder(options.migrations, 'migrations'),
    mailersDir: folder(options.mailers, 'mailers'),
    previewsDir: folder(options.previews, path.join(options.mailers ?? 'mailers', 'previews')),
    mailSetup: options.mailSetup,
    templatesDir: folder(templates[0], ''),
    templatesDirs: templates.map((each) => folder(each, '')),
    localesDir: folder(options.locales, 'locales'),
    importFile: options.import,
    ...Object.fromEntries(OWN_PARTS.flatMap((key) => (options[key] === undefined ? [] : [[key, options[key]]]))),
    file: findCallingFile(defineApp),
    given: options,
    hooks: options.hooks ?? {},
  });
}

/** @returns a sentence about an option that should be a function. */
export function notAFunction(option: string, value: unknown): string {
  const example = /^(?:routes|jobSetup|mailSetup)$/.test(option) ? `, such as () => import('./${option}')` : '';
  return `${option} is ${JSON.stringify(value) ?? typeof value}; give a function${example}`;
}

/**
 * @returns the path of the file that called `called`, as it was loaded: with source maps the text of a stack names the source of a
 * compiled file. undefined if it is not known.
 */
function findCallingFile(called: typeof defineApp): string | undefined {
  const { prepareStackTrace } = Error;
  Error.prepareStackTrace = (_, [caller]) => caller?.getFileName() ?? undefined;
  const at: { readonly stack?: string } = {};
  Error.captureStackTrace(at, called);
  const file = at.stack;
  Error.prepareStackTrace = prepareStackTrace;
  return file?.startsWith('file:') ? fileURLToPath(file) : file;
}

/** The event behind each hook. */
export const HEARS = {
  booted: 'primary.listening',
  workerBoot: 'worker.forked',
  workerReady: 'worker.ready',
  workerExit: 'worker.exited',
  phase: 'phase.completed',
  processorExit: 'processor.exited',
  stopping: 'primary.stopping',
  stopped: 'primary.stopped',
} as const satisfies { readonly [H in keyof Hooks]-?: EventName };

/**
 * Calls the app's hooks from now on. A hook that throws or rejects is reported as `process.error` and has no other
 * effect.
 */
export function callHooks(hooks: Hooks, events: Events): void {
  for (const [name, event] of Object.entries(HEARS)) {
    const hook = hooks[name as keyof Hooks] as ((payload: unknown) => unknown) | undefined;
    if (!hook) continue;
    events.on(event, (payload) => {
      const report = (thrown: unknown) => {
        events.emit('process.error', { error: toError(thrown), during: `the app's hook ${name}` });
      };
      try {
        Promise.resolve(hook(payload)).catch(report);
      } catch (thrown) {
        report(thrown);
      }
    });
  }
}

/** @returns the folders of migrations: Catamount's and the app's, each a history of its own. */
export function findMigrations({ migrationsDir, importFile }: AppDefinition): Migrations {
  const ours = ['job', 'mailer', 'ops'].map((part) => path.join(__dirname, '../..', part, 'migrations'));
  return { ours, apps: migrationsDir === false ? null : [migrationsDir], importFile };
}
