import { decideCompany, type KnownCompany, type ScannedLink } from '../../../src/authorization/company-decision';

const SCANNED = new Date('2026-03-01T08:00:00Z');
const link = (more: Partial<ScannedLink> = {}): ScannedLink => ({
  authorizationId: 'link',
  sourceId: 'waiting',
  status: 'PENDING',
  expiresAt: new Date('2026-03-10T08:00:00Z'),
  sourceDeleted: false,
  ofAnother: false,
  ...more,
});
const known = (sourceId: string, connected: boolean): KnownCompany => ({ sourceId, connected });

describe('a company that authorizes', () => {
  it('is bound to the source whose link was scanned', () => {
    const bound = { kind: 'BIND', sourceId: 'waiting', authorizationId: 'link' };
    expect(decideCompany('s', link(), undefined, SCANNED)).toEqual(bound);
    // A source of the same company that has cancelled stands in nobody's way.
    expect(decideCompany('s', link(), known('former', false), SCANNED)).toEqual(bound);
    expect(decideCompany('s', link(), known('waiting', true), SCANNED)).toEqual(bound);
  });

  it('is bound although the link has expired since, when it was scanned in time', () => {
    const expired = link({ status: 'EXPIRED', expiresAt: new Date(SCANNED.getTime() + 1) });
    expect(decideCompany('s', expired, undefined, SCANNED).kind).toBe('BIND');
  });

  it.each([
    ['no state', null, undefined, 'NO_STATE'],
    ['an unknown state', 's', undefined, 'UNKNOWN_STATE'],
    ['the state of a source that was deleted', 's', link({ sourceDeleted: true }), 'UNKNOWN_STATE'],
    ['the state of another company’s source', 's', link({ ofAnother: true }), 'OTHER_COMPANY'],
    ['a state that had expired', 's', link({ expiresAt: new Date(SCANNED.getTime() - 1) }), 'EXPIRED_STATE'],
    ['a state that another company used', 's', link({ status: 'AUTHORIZED' }), 'USED_STATE'],
    ['a state that was refused', 's', link({ status: 'REFUSED' }), 'USED_STATE'],
    ['a state that was ended', 's', link({ status: 'CANCELED' }), 'USED_STATE'],
  ] as const)('appears by itself with %s, or goes on with the source that it has', (_what, state, scanned, reason) => {
    expect(decideCompany(state, scanned, undefined, SCANNED)).toEqual({ kind: 'APPEAR', reason });
    for (const connected of [true, false]) {
      const reused = { kind: 'REUSE', sourceId: 'own', reason };
      expect(decideCompany(state, scanned, known('own', connected), SCANNED)).toEqual(reused);
    }
  });

  it('is refused for a second source, and gives the first one its new secret', () => {
    const refused = { kind: 'REFUSE', sourceId: 'waiting', authorizationId: 'link', existing: 'first' };
    expect(decideCompany('s', link(), known('first', true), SCANNED)).toEqual(refused);
  });

  it('may scan its own link again', () => {
    expect(decideCompany('s', link({ status: 'AUTHORIZED' }), known('waiting', true), SCANNED).kind).toBe('BIND');
  });
});
