import fs from 'node:fs';
import { doubt, type Finding, fault } from '../../core/finding';
import { didYouMean } from '../../support/text';
import { type AppDefinition, FOLDERS, HEARS, notAFunction } from '../app/app-definition';
import type { AppOptions } from '../app/app-options';

/** The options of defineApp: true for a function. `defineApp` or the web itself checks the values of the others. */
const OPTIONS: Readonly<Record<keyof AppOptions, boolean>> = {
  name: false,
  root: false,
  routes: true,
  jobs: false,
  jobSetup: true,
  models: false,
  migrations: false,
  mailers: false,
  previews: false,
  mailSetup: true,
  templates: false,
  locales: false,
  import: true,
  koa: true,
  bodyParser: false,
  headers: false,
  probes: false,
  server: true,
  workerBoot: true,
  workerStop: true,
  hooks: false,
};

/**
 * Finds mistakes in an app's manifest: unknown options, values of the wrong kind, missing folders. A missing folder is
 * not fatal, since Git and compilers create no empty ones.
 */
export function manifestMistakes(app: AppDefinition): Finding[] {
  const wrong = Object.entries(app.given).flatMap(([option, value]) => {
    if (value === undefined) return [];
    if (option === 'hooks') return hookMistakes(value);
    if (!Object.hasOwn(OPTIONS, option)) return unknown(option, 'option', Object.keys(OPTIONS));
    const isWrong = OPTIONS[option as keyof AppOptions] && typeof value !== 'function';
    return isWrong ? notAFunction(option, value) : [];
  });
  const missing = FOLDERS.flatMap((option) => {
    const [named, folder] = [app.given[option], app[`${option}Dir`]];
    if (typeof named !== 'string' || folder === false || fs.existsSync(folder)) return [];
    return `${option} is ${JSON.stringify(named)}, and there is no folder ${folder}: make it, or name another`;
  });
  return [
    ...wrong.map((message) => fault(`defineApp: ${message}`)),
    ...missing.map((message) => doubt(`defineApp: ${message}`)),
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
