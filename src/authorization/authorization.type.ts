import QRCode from 'qrcode';
import { Field, ID, InputType, ObjectType, registerEnumType } from 'type-graphql';
import { Role } from '../access/role';
import { badRequest } from '../api/errors';
import { Node } from '../api/node';
import { DateTime } from '../api/scalars';
import { UserError, UserErrorCode } from '../api/user-error';
import { toTypedId } from '../platform/typed-id';
import type { AuthorizationStatusName, SourceAuthorization } from './source-authorization';

export const AuthorizationStatusEnum = {
  PENDING: 'PENDING',
  AUTHORIZED: 'AUTHORIZED',
  EXPIRED: 'EXPIRED',
  REFUSED: 'REFUSED',
  CANCELED: 'CANCELED',
} as const;
registerEnumType(AuthorizationStatusEnum, {
  name: 'AuthorizationStatus',
  description: 'Where an administrator’s consent in the directory stands.',
  valuesConfig: {
    PENDING: { description: 'A link waits for an administrator to scan it.' },
    AUTHORIZED: { description: 'Given, by scanning the link or by credentials.' },
    EXPIRED: { description: 'Nobody scanned the link in time.' },
    REFUSED: { description: 'It was scanned, but came to nothing; `failure` says why.' },
    CANCELED: { description: 'Taken back in the directory, or the link was ended here.' },
  },
});

export const QrCodeFormatEnum = { SVG: 'SVG', PNG: 'PNG' } as const;
export type QrCodeFormatName = keyof typeof QrCodeFormatEnum;
registerEnumType(QrCodeFormatEnum, {
  name: 'QrCodeFormat',
  description: 'Image formats of a QR code.',
  valuesConfig: { SVG: { description: 'Sharp at any size.' }, PNG: { description: 'For mails and old clients.' } },
});

@ObjectType('Authorization', {
  implements: Node,
  description: 'An administrator’s consent in the third-party directory: by scanning a QR code, or by credentials.',
})
export class AuthorizationObject extends Node {
  uuid: string;

  @Field(() => AuthorizationStatusEnum, { description: 'Where it stands.' })
  status: AuthorizationStatusName;

  @Role('ADMINISTRATOR')
  @Field(() => String, {
    nullable: true,
    description: 'What the QR code encodes; null once it is no longer PENDING, and with credentials.',
  })
  url: string | null;

  @Role('ADMINISTRATOR')
  @Field(() => String, {
    nullable: true,
    description:
      'Tells this link from others: 32 letters and digits that come back with the scan; null without a link.',
  })
  state: string | null;

  @Field(() => DateTime, { nullable: true, description: 'Until when the link can be scanned; null without one.' })
  expiresAt: Date | null;

  @Field(() => DateTime, { nullable: true, description: 'When the consent was given; null before.' })
  authorizedAt: Date | null;

  @Field(() => String, {
    nullable: true,
    description: 'The company’s id as the app is told it (a service provider is told an encrypted one); null before.',
  })
  corpId: string | null;

  @Field(() => String, { nullable: true, description: 'The company’s name; null where it was not told.' })
  corpName: string | null;

  @Field(() => String, { nullable: true, description: 'The app’s id in the company; null before.' })
  agentId: string | null;

  @Field(() => String, {
    nullable: true,
    description:
      'The administrator who scanned (name or userid), or who entered credentials here; null where not told.',
  })
  authorizedBy: string | null;

  @Field(() => UserError, {
    nullable: true,
    description: 'Why it came to nothing, or why its source is closed although it was given; null otherwise.',
  })
  failure: UserError | null;
}

export function toAuthorization(row: SourceAuthorization): AuthorizationObject {
  const { failure } = row;
  return Object.assign(new AuthorizationObject(), row, {
    id: toTypedId('authorization', row.id),
    uuid: row.id,
    failure: failure && { code: UserErrorCode[failure.code], message: failure.message, field: null },
  });
}

/** Pixels. */
const QR_SIZES = { min: 64, max: 1024 };

/** The QR code of a text as a data URI. @throws GraphQLError BAD_USER_INPUT for a size out of 64 to 1024 */
export async function qrCode(content: string, format: QrCodeFormatName, size: number): Promise<string> {
  const { min, max } = QR_SIZES;
  if (size < min || size > max) throw badRequest(`A QR code has ${min} to ${max} pixels; ${size} were asked for.`);
  const options = { width: size, margin: 2, errorCorrectionLevel: 'M' } as const;
  if (format === 'PNG') return QRCode.toDataURL(content, { ...options, type: 'image/png' });
  const svg = await QRCode.toString(content, { ...options, type: 'svg' });
  return `data:image/svg+xml;base64,${Buffer.from(svg).toString('base64')}`;
}

@InputType({ description: 'Which source to connect by QR code.' })
export class StartAuthorizationInput {
  @Field(() => ID, { description: 'A WECOM source that was made without credentials, or whose company has cancelled.' })
  identitySourceId: string;

  @Field(() => Boolean, {
    defaultValue: false,
    description:
      'Whether a link that waits already is ended and replaced, for instance because it went to the wrong person.',
  })
  renew: boolean;
}

@ObjectType({ description: 'What became of startAuthorization.' })
export class StartAuthorizationPayload {
  @Field(() => AuthorizationObject, {
    nullable: true,
    description: 'The link to scan: the one that waits already, or a new one; null when refused.',
  })
  authorization: AuthorizationObject | null;

  @Field(() => [UserError], { description: 'Why it was refused; empty when it was not.' })
  userErrors: readonly UserError[];
}
