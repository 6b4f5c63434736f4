import fc from 'fast-check';
import { parseDepartment, parseEmployee, parseGroup, parseMember } from '../../../src/connector/wecom/wecom.dto';

describe('a WeCom member', () => {
  it('is read whole', () => {
    expect(
      parseEmployee({
        userid: 'zhangsan',
        name: '张三',
        department: [1, 2],
        order: [1, 2],
        is_leader_in_dept: [1, 0],
        main_department: 2,
        gender: '1',
        mobile: '13800000000',
        direct_leader: ['lisi'],
        status: 1,
        extattr: {
          attrs: [
            { type: 0, name: '工号', text: { value: 'A-17' } },
            { type: 1, name: '主页', web: { url: 'http://x', title: 't' } },
          ],
        },
      }),
    ).toEqual({
      externalId: 'zhangsan',
      status: 'ACTIVE',
      fields: {
        userid: 'zhangsan',
        name: '张三',
        gender: '1',
        mobile: '13800000000',
        direct_leader: ['lisi'],
        'extattr.工号': 'A-17',
        'extattr.主页': 'http://x',
      },
      memberships: [
        { departmentId: '1', isLeader: true, order: 1 },
        { departmentId: '2', isLeader: false, order: 2 },
      ],
      mainDepartmentId: '2',
    });
  });

  it('keeps absent, empty and null apart', () => {
    expect(parseEmployee({ userid: 'a', department: [], email: '', mobile: null })?.fields).toEqual({
      userid: 'a',
      email: '',
      mobile: null,
    });
  });

  it.each([
    [{ status: 1 }, 'ACTIVE'],
    [{ status: '2' }, 'DISABLED'],
    [{ status: 4 }, 'INACTIVE'],
    [{ status: 5 }, 'LEFT'],
    [{ enable: 0 }, 'DISABLED'],
    [{ enable: 1 }, 'ACTIVE'],
    [{}, 'ACTIVE'],
    [{ status: null }, 'ACTIVE'],
    [{ status: '' }, 'ACTIVE'],
    [{ status: 3 }, 'INACTIVE'],
    [{ status: '99' }, 'INACTIVE'],
    [{ status: 'new' }, 'INACTIVE'],
    [{ status: 3, enable: 0 }, 'DISABLED'],
  ])('with %j is %s', (given, status) => {
    expect(parseEmployee({ userid: 'a', department: [], ...given })?.status).toBe(status);
  });

  it('is in no department where an answer about them alone names none, but not in a list of members', () => {
    for (const department of [[], null, undefined]) {
      expect(parseMember({ userid: 'a', department })).toMatchObject({ externalId: 'a', memberships: [] });
      if (!department) expect(parseEmployee({ userid: 'a', department })).toBeUndefined();
    }
    // Nobody is without the department that is their main one.
    expect(parseMember({ userid: 'a', main_department: 3 })).toBeUndefined();
  });

  it('is told no leader, and no order, by a list of another length than that of the departments', () => {
    const member = { userid: 'a', department: [3, 4, 5], is_leader_in_dept: [1, 0], order: [7, 8] };
    expect(parseEmployee(member)?.memberships).toEqual(
      ['3', '4', '5'].map((departmentId) => ({ departmentId, isLeader: undefined, order: null })),
    );
  });

  it('has no main department that it is not in', () => {
    expect(parseEmployee({ userid: 'a', department: [3], main_department: 4 })?.mainDepartmentId).toBeNull();
  });

  it('without an id is none, and whatever comes is no exception', () => {
    expect(parseEmployee({ name: 'x' })).toBeUndefined();
    fc.assert(
      fc.property(fc.anything(), (value) => {
        parseEmployee(value);
        parseMember(value);
        parseEmployee({ userid: 'a', department: value, extattr: value, status: value, name: value, order: value });
        parseDepartment(value);
      }),
    );
  });

  it.each([
    ['is empty', ''],
    ['is longer than any of WeCom’s', 'x'.repeat(257)],
    ['cannot be stored', 'a\0b'],
    ['is cut within a character', 'a\uD842'],
    ['is no text', { a: 1 }],
  ])('has no id where that %s', (_how, id) => {
    expect(parseEmployee({ userid: id, department: [1] })).toBeUndefined();
    expect(parseDepartment({ id, parentid: 1 })).toBeUndefined();
    expect(parseGroup('1', { userlist: [{ userid: id }], partylist: [id] })).toMatchObject({
      employeeIds: [],
      departmentIds: [],
    });
  });

  it('says which values are none that a field can have, and shows them', () => {
    const attrs = [
      { name: '工号', text: { value: ['A'] } },
      { name: '级别', text: {} },
    ];
    const odd = {
      userid: 'a',
      department: [],
      name: { zh: '张三' },
      email: true,
      alias: 7,
      direct_leader: [{}],
      extattr: { attrs },
    };
    expect(parseEmployee(odd)).toMatchObject({
      fields: {
        userid: 'a',
        name: '{"zh":"张三"}',
        email: 'true',
        alias: '7',
        direct_leader: '[{}]',
        'extattr.工号': '["A"]',
      },
      unusable: ['name', 'email', 'direct_leader', 'extattr.工号'],
    });
    expect(parseDepartment({ id: 4, name: ['市场部'] })).toMatchObject({
      fields: { name: '["市场部"]' },
      unusable: ['name'],
    });
    const none = { userid: 'a', department: [], name: '', email: null, direct_leader: null };
    expect(parseEmployee(none)).not.toHaveProperty('unusable');
    expect(String(parseEmployee({ userid: 'a', department: [], name: ['𠀀'.repeat(1_000)] })?.fields['name'])).toMatch(
      /^\["(𠀀)+�?$/,
    );
  });

  it('shows also of a value that is nested without end that there is one', () => {
    const name = JSON.parse(`${'['.repeat(100_000)}${']'.repeat(100_000)}`);
    expect(parseEmployee({ userid: 'a', department: [], name })?.fields['name']).toBe('[…]');
  });

  it('holds no text that PostgreSQL refuses', () => {
    const name = parseEmployee({ userid: 'a', department: [], name: 'x\0y\uD800z𠀀' })?.fields['name'];
    expect(name).toBe('x\uFFFDy\uFFFDz𠀀');
  });
});

describe('a WeCom department', () => {
  it('hangs below its parent; the root below nothing', () => {
    expect(parseDepartment({ id: 2, parentid: 1, name: 'x', order: '4294967295' })).toMatchObject({
      parentId: '1',
      order: 4294967295,
    });
    expect(parseDepartment({ id: 1, parentid: 0 })).toMatchObject({ parentId: null, leaderIds: undefined });
  });
});

describe('a WeCom tag', () => {
  it('is a group with the people and departments in it', () => {
    const body = { tagname: '协会', userlist: [{ userid: 'lisi', name: '李四' }, { userid: 7 }], partylist: [2, '3'] };
    expect(parseGroup('1', body)).toEqual({
      externalId: '1',
      fields: { name: '协会' },
      employeeIds: ['lisi', '7'],
      departmentIds: ['2', '3'],
    });
  });

  it('without a name or members has none, and whatever comes is no exception', () => {
    expect(parseGroup('1', {})).toEqual({ externalId: '1', fields: {}, employeeIds: [], departmentIds: undefined });
    fc.assert(
      fc.property(fc.anything(), (value) => {
        parseGroup('1', { tagname: value, userlist: value, partylist: value });
        parseGroup('1', { userlist: [value, { userid: value }], partylist: [value] });
      }),
    );
  });
});
