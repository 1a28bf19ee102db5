import type { PageGroup } from '../site';

/** Previews, the inbox and deliveries. */
export const mailRoutes: PageGroup = ({ router }) => {
  router.get('/ops', (ctx) => ctx.redirect('/ops/mail'));
};
