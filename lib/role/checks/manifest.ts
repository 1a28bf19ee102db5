import fs from 'node:fs';
import { errorFinding, type Finding, warningFinding } from '../../core/finding';
import { didYouMean } from '../../support/did-you-mean';
import { type AppDefinition, FOLDERS, HEARS, notAFunction } from '../app/app-definition';
import type { AppOptions } from '../app/app-options';

const FUNCTIONS = [
  'routes',
  'jobSetup',
  'mailSetup',
  'import',
  'koa',
  'server',
  'beforeFork',
  'beforeRestart',
  'workerBoot',
  'workerStop',
] as const;
/** Options whose values `defineApp`, or the start of the web, checks. */
const OTHERS = ['name', 'root', 'hooks', 'bodyParser', 'headers', 'probes', 'ops'] as const;
type Unlisted = Exclude<keyof AppOptions, (typeof FUNCTIONS | typeof FOLDERS | typeof OTHERS)[number]>;
/** Does not compile while an option of `defineApp` is in no list. */
const OPTIONS: readonly ([Unlisted] extends [never] ? string : never)[] = [...FUNCTIONS, ...FOLDERS, ...OTHERS];

/**
 * Finds mistakes in an app's manifest: unknown options, values of the wrong kind, missing folders. A missing folder is
 * not fatal, since Git and compilers create no empty ones.
 */
export function manifestMistakes(app: AppDefinition): Finding[] {
  const wrong = Object.entries(app.given).flatMap(([option, value]) => {
    if (value === undefined) return [];
    if (option === 'hooks') return hookMistakes(value);
    if (!OPTIONS.includes(option)) return unknown(option, 'option', OPTIONS);
    const isWrong = FUNCTIONS.some((each) => each === option) && typeof value !== 'function';
    return isWrong ? notAFunction(option, value) : [];
  });
  const missing = FOLDERS.flatMap((option) => {
    const named = app.given[option];
    const folders = option === 'templates' ? app.templatesDirs : [app[`${option}Dir`]];
    const lacking = folders.find((folder) => folder !== false && !fs.existsSync(folder));
    if (!named || lacking === undefined) return [];
    return `${option} is ${JSON.stringify(named)}, and there is no folder ${lacking}: make it, or name another`;
  });
  return [
    ...wrong.map((message) => errorFinding(`defineApp: ${message}`)),
    ...missing.map((message) => warningFinding(`defineApp: ${message}`)),
  ];
}

function hookMistakes(hooks: unknown): string[] {
  if (typeof hooks !== 'object' || hooks === null)
    return [`hooks is ${JSON.stringify(hooks)}; give an object of functions`];
  return Object.entries(hooks).flatMap(([name, hook]: [string, unknown]) => {
    if (!Object.hasOwn(HEARS, name)) return unknown(name, 'hook', Object.keys(HEARS));
    return hook === undefined || typeof hook === 'function' ? [] : notAFunction(`hooks.${name}`, hook);
  });
}

function unknown(name: string, kind: 'option' | 'hook', known: readonly string[]): string {
  const meant = didYouMean(name, known);
  return `there is no ${kind} ${name}: ${meant ? `write ${meant}` : `take it out, or write one of ${known.join(', ')}`}`;
}
