import { tabPath } from './ui/additions';
import type { PageModule } from './ui/page-types';

/** Pages of the app's own. They are for everybody who may see the pages. */
export const tabRoutes: PageModule = ({ router, layout, additions }) => {
  for (const tab of additions?.tabs ?? []) {
    const { title, render } = tab;
    if (render)
      router.get(tabPath(tab), async (ctx) => {
        await layout.show(ctx, 'tab', { title, html: await render(ctx as never) });
      });
  }
};
