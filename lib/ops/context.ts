import type { RouterContext } from '@koa/router';
import type { Translate } from '../core/i18n';
import type { Locale } from '../core/locale';
import type { Visitor } from './access/session';

export const THEMES = ['auto', 'light', 'dark'] as const;
export type Theme = (typeof THEMES)[number];

/** What every page knows of its request. */
export interface OpsState {
  visitor: Visitor;
  locale: Locale;
  theme: Theme;
  t: Translate;
  /** Asked for by `Accept: application/json`, or by `.json` at the end of the path. */
  json: boolean;
  /** The fields of a POST, whose CSRF token has been checked. */
  form: URLSearchParams;
}

export type OpsContext = RouterContext<OpsState>;
export type OpsMiddleware = (ctx: OpsContext, next: () => Promise<unknown>) => unknown;
