import type { AuthorizingCompany } from './customized-app';
import { PERMISSIONS } from './permissions';
import type { Authorized, Provider } from './provider';

/**
 * The form in which an administrator agrees.
 * @param entered what was entered the last time
 * @param problem why that was not accepted
 */
export function authorizePage(provider: Provider, entered = new URLSearchParams(), problem?: string): string {
  const { templateName } = provider.settings;
  const own = provider.ownCompany;
  const isOther = entered.get('company') === 'other';
  const checkbox = (name: string, value: string, chinese: string, english: string) =>
    `<label class="row"><input type="checkbox" name="${name}" value="${escapeHtml(value)}"${entered.getAll(name).includes(value) ? ' checked' : ''}> <span>${escapeHtml(chinese)}<small lang="en">${escapeHtml(english)}</small></span></label>`;
  const permissions = Object.entries(PERMISSIONS).map(([name, { chinese, english }]) =>
    checkbox('permission', name, chinese, english),
  );
  return page(
    `授权 ${templateName}`,
    `<form method="post">
<header><div class="logo" aria-hidden="true">${escapeHtml([...templateName][0] ?? '')}</div>
<div><h1>${escapeHtml(templateName)}</h1><p>请求成为企业的应用<br><span lang="en">asks to become an app of your company</span></p></div></header>
${problem === undefined ? '' : `<p class="problem" role="alert">${escapeHtml(problem)}</p>`}
<fieldset><legend>授权企业 <span lang="en">Company</span></legend>
<label class="row"><input type="radio" name="company" value="own"${isOther ? '' : ' checked'}> <span>${escapeHtml(own.name)}<small>${escapeHtml(own.corpId)}</small></span></label>
<label class="row"><input type="radio" name="company" value="other"${isOther ? ' checked' : ''}> <span>其他企业 <span lang="en">Another company</span></span></label>
<div class="other"><label>企业名称 <span lang="en">Name</span><input type="text" name="name" value="${escapeHtml(entered.get('name') ?? '')}" maxlength="64" autocomplete="off" placeholder="示例企业"></label>
<label>企业 ID <span lang="en">Corp id</span><input type="text" name="corpId" value="${escapeHtml(entered.get('corpId') ?? '')}" maxlength="18" autocomplete="off" spellcheck="false" placeholder="ww0123456789abcdef"></label></div>
</fieldset>
<fieldset><legend>授予的权限 <span lang="en">Permissions</span></legend>
<p class="hint">成员和部门的 ID 总是可见。 <span lang="en">Ids of members and departments are always told.</span></p>
${permissions.join('\n')}
</fieldset>
<details${problem === undefined ? '' : ' open'}><summary>更多 <span lang="en">More</span></summary>
${checkbox('again', '1', '重新授权', 'Authorize again, as after a cancel that nobody heard of')}
${checkbox('plainIds', '1', '2022 年 6 月前的授权（ID 不加密）', 'As before June 2022: ids are not encrypted')}
${checkbox('withoutState', '1', '回调不带 State', 'The callback does not bring the state back')}
</details>
<button type="submit">授权 Authorize</button>
</form>`,
  );
}

/** What is shown once a company has authorized. */
export function resultPage(provider: Provider, company: AuthorizingCompany, done: Authorized): string {
  const { templateName } = provider.settings;
  return page(
    '授权成功 Authorized',
    `<div class="done" aria-hidden="true">✓</div>
<h1 class="center">授权成功 <span lang="en">Authorized</span></h1>
<p class="center">${escapeHtml(company.name)} → ${escapeHtml(templateName)}</p>
<dl><dt>企业 ID <span lang="en">Corp id</span></dt><dd>${escapeHtml(done.corpId)}</dd>
<dt>应用 ID <span lang="en">Agent id</span></dt><dd>${escapeHtml(done.agentId)}</dd></dl>
<p class="hint center">可以关闭此页。 <span lang="en">You can close this page.</span></p>`,
  );
}

/** A page that only says something. */
export function messagePage(title: string, message: string): string {
  return page(title, `<h1 class="center">${escapeHtml(title)}</h1><p class="center">${escapeHtml(message)}</p>`);
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}

function page(title: string, content: string): string {
  return `<!doctype html>
<html lang="zh"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title><style>${STYLE}</style></head>
<body><main>${content}</main><footer>WeCom 沙箱 <span lang="en">sandbox</span></footer></body></html>`;
}

const STYLE = `
:root { color-scheme: light dark; --ground: #eef1f4; --card: #fff; --text: #1d2733; --soft: #66727f; --line: #dbe1e7; --accent: #2469d6; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ground: #12171d; --card: #1c232b; --text: #e8edf2; --soft: #9aa7b4; --line: #323c47; --accent: #6ea2f5; --bad: #ff9a92; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 24px 16px; background: var(--ground); color: var(--text); font: 16px/1.5 system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif; }
main { max-width: 480px; margin: 0 auto; padding: 24px; background: var(--card); border-radius: 16px; box-shadow: 0 1px 3px #0002; overflow-wrap: anywhere; }
header { display: flex; gap: 16px; align-items: center; }
header p { margin: 0; color: var(--soft); font-size: 14px; }
.logo { flex: none; width: 56px; height: 56px; border-radius: 14px; background: var(--accent); color: var(--card); font-size: 28px; line-height: 56px; text-align: center; }
h1 { margin: 0; font-size: 20px; }
fieldset, details { margin: 20px 0 0; padding: 16px 0 0; border: 0; border-top: 1px solid var(--line); min-width: 0; }
legend { float: left; width: 100%; padding: 0; font-weight: 600; }
legend + * { clear: both; }
summary { font-weight: 600; cursor: pointer; }
legend span, summary span, .hint, small { color: var(--soft); font-weight: 400; }
small { display: block; font-size: 13px; line-height: 1.3; }
.hint { margin: 0; font-size: 13px; }
.row { display: flex; gap: 10px; align-items: flex-start; padding: 8px 0; cursor: pointer; }
.row input { flex: none; width: 18px; height: 18px; margin: 3px 0 0; accent-color: var(--accent); }
.other { display: none; gap: 12px; padding-left: 28px; }
fieldset:has([value=other]:checked) .other { display: grid; }
input[type=text] { display: block; width: 100%; margin-top: 4px; padding: 10px 12px; border: 1px solid var(--line); border-radius: 8px; background: transparent; color: inherit; font: inherit; }
button { width: 100%; margin-top: 24px; padding: 14px; border: 0; border-radius: 10px; background: var(--accent); color: var(--card); font: inherit; font-weight: 600; cursor: pointer; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.problem { margin: 16px 0 0; padding: 10px 12px; border: 1px solid var(--bad); border-radius: 8px; color: var(--bad); }
.center { text-align: center; }
.done { width: 64px; height: 64px; margin: 0 auto 16px; border-radius: 50%; background: #2a9d5c; color: #fff; font-size: 34px; line-height: 64px; text-align: center; }
dl { margin: 20px 0; padding-top: 16px; border-top: 1px solid var(--line); font-size: 14px; }
dt { color: var(--soft); }
dd { margin: 0 0 10px; font-family: ui-monospace, monospace; }
footer { margin-top: 16px; color: var(--soft); font-size: 13px; text-align: center; }
`;
