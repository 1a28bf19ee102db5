import type { Routes } from '../../index';
import { homeRoutes } from './home';
import { userRoutes } from './users';

const routes: Routes = (router, environment) => {
  homeRoutes(router, environment);
  userRoutes(router, environment);
};

export default routes;
