import type { ConnectorField } from '../directory-connector';

const department = (name: string, label: string): ConnectorField => ({ objectType: 'DEPARTMENT', name, label });
const employee = (name: string, label: string): ConnectorField => ({ objectType: 'EMPLOYEE', name, label });

/** What WeCom can tell. Custom attributes come beside these, as `extattr.<name>`. Source: developer.work.weixin.qq.com/document/path/96255 */
export const wecomFields: readonly ConnectorField[] = [
  department('name', 'Name'),
  department('name_en', 'English name'),
  employee('userid', 'Account (userid)'),
  employee('name', 'Name'),
  employee('alias', 'Alias'),
  employee('english_name', 'English name (old accounts)'),
  employee('position', 'Position'),
  employee('mobile', 'Mobile'),
  { ...employee('gender', 'Gender'), notTold: ['0'] },
  employee('email', 'E-mail'),
  employee('biz_mail', 'Company mailbox'),
  employee('telephone', 'Telephone'),
  employee('address', 'Address'),
  employee('direct_leader', 'Direct leader'),
  employee('external_position', 'Position shown to outsiders'),
];
