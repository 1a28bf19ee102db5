import type Koa from 'koa';
import { EXIT, UserError } from '../../core/errors';

/** An operator whom the app's own sign-in knows. */
export interface Operator {
  /** Who it is, for the log and the audit: an address or a name, of 200 characters at most. */
  readonly name: string;
  /** viewer: sees all pages, and changes nothing. Default `operator`. */
  readonly role?: 'operator' | 'viewer';
}

/** A tab of the app's own in the header of the pages. */
export interface OpsTab {
  /** Its words in the header. */
  readonly title: string;
  /** Where it leads: a path of the app, or an address. Give this or `path` and `render`. */
  readonly href?: string;
  /** The page's name below `/ops/tabs/`: lower-case letters, digits and -. */
  readonly path?: string;
  /** The page. @returns its HTML, which is shown as it is between header and footer: escape what comes from people. */
  readonly render?: (ctx: Koa.Context) => string | Promise<string>;
}

/** Path of a tab's page. */
export function tabPath({ href, path = '' }: OpsTab): string {
  return href ?? `/ops/tabs/${path}`;
}

/** What an app adds to the operator's pages. */
export interface OpsAdditions {
  /**
   * Lets the app's own users in, beside OPS_USER: called for each request below /ops that has no other session.
   * @returns an operator, or their name alone; null lets nobody in. It may answer a stranger itself, such as by
   * `ctx.redirect('/sign-in')`. An error is answered with 500 and lets nobody in.
   */
  readonly authorize?: (
    ctx: Koa.Context,
  ) => Operator | string | null | undefined | Promise<Operator | string | null | undefined>;
  /** Tabs of the app's own, after ours. Default: none. */
  readonly tabs?: readonly OpsTab[];
}

/** @returns the additions as they are. @throws UserError for one that cannot be used. */
export function checkAdditions(additions: OpsAdditions): OpsAdditions {
  const refuse = (option: string, value: unknown, remedy: string): never => {
    const shown = typeof value === 'function' ? 'a function' : (JSON.stringify(value) ?? String(value));
    throw new UserError(`defineApp: ops${option} is ${shown}; ${remedy}`, EXIT.config);
  };
  if (typeof additions !== 'object' || additions === null) refuse('', additions, 'give { authorize, tabs }');
  const { authorize, tabs = [], ...others } = additions;
  const [surplus] = Object.entries(others);
  if (surplus) refuse(`.${surplus[0]}`, surplus[1], 'its options are authorize and tabs');
  if (authorize !== undefined && typeof authorize !== 'function')
    refuse('.authorize', authorize, 'give a function that returns an operator, or null');
  if (!Array.isArray(tabs)) refuse('.tabs', tabs, 'give a list of tabs');
  for (const [index, { title, href, path, render }] of tabs.entries()) {
    const at = `.tabs[${index}]`;
    if (typeof title !== 'string' || title.trim() === '') refuse(`${at}.title`, title, 'give its words in the header');
    if ((href === undefined) !== (render !== undefined && path !== undefined))
      refuse(at, tabs[index], 'give href, or path and render');
    if (href !== undefined && !/^(?:\/|https?:\/\/)\S*$/.test(href))
      refuse(`${at}.href`, href, 'give a path or an address');
    if (path !== undefined && !/^[a-z0-9-]+$/.test(path))
      refuse(`${at}.path`, path, 'use lower-case letters, digits and -');
    if (render !== undefined && typeof render !== 'function') refuse(`${at}.render`, render, 'give a function');
  }
  return additions;
}
