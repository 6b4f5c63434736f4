/** Libraries run as they do for users, not as jest's NODE_ENV "test" would have them. */
process.env['NODE_ENV'] = 'production';
