import type { PageModule } from '../ui/page-types';

import { deliveryRoutes } from './deliveries-page';
import { Inbox } from './inbox';
import { inboxRoutes } from './inbox-page';
import { previewRoutes } from './preview-pages';

/** All pages of mails: previews, inbox and deliveries. */
export const mailRoutes: PageModule = (site) => {
  const inbox = new Inbox(site.config.mail.dir);
  for (const group of [inboxRoutes(inbox), deliveryRoutes(inbox), previewRoutes(inbox)]) group(site);
};
