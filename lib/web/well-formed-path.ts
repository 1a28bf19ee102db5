import type Koa from 'koa';
import { ProblemError } from './problem';

/** Broken percent-encoding would otherwise reach routes as it came. */
export const wellFormedPath: Koa.Middleware = (ctx, next) => {
  if (!ctx.path.includes('%')) return next();
  try {
    decodeURIComponent(ctx.path);
  } catch {
    throw new ProblemError(400, { detail: 'The path is not well-formed: its percent-encoding is broken.' });
  }
  return next();
};
