/**
 * Imported first: libraries decide when they are loaded whether they check for their users' mistakes. graphql does for each of its types
 * and values, which took a twelfth of the tests' processor time (graphql-js.org/docs/development-mode).
 */
process.env['NODE_ENV'] ??= 'production';
