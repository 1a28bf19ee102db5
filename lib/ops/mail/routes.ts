import type { PageGroup } from '../site';
import { deliveryRoutes } from './delivery-routes';
import { Inbox } from './inbox';
import { inboxRoutes } from './inbox-routes';
import { previewRoutes } from './preview-routes';

/** Previews, the inbox and deliveries. */
export const mailRoutes: PageGroup = (site) => {
  const inbox = new Inbox(site.config.mail.dir);
  for (const group of [inboxRoutes(inbox), deliveryRoutes(inbox), previewRoutes(inbox)]) group(site);
};
