import type { Routes } from '../../index';
import { homeRoutes } from './home';
import { userRoutes } from './users';

const routes: Routes = (router) => {
  homeRoutes(router);
  userRoutes(router);
};

export default routes;
