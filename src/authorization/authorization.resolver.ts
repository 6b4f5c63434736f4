import { Arg, Ctx, FieldResolver, ID, Int, Mutation, Resolver, Root, Subscription } from 'type-graphql';
import { Role } from '../access/role';
import type { RequestContext } from '../api/context';
import { abortable } from '../events/event-stream';
import { toUserError } from '../identity-source/identity-source.resolver';
import { IdentitySourceObject } from '../identity-source/identity-source.type';
import { uuidOf } from '../platform/typed-id';
import {
  AuthorizationObject,
  QrCodeFormatEnum,
  type QrCodeFormatName,
  qrCode,
  StartAuthorizationInput,
  StartAuthorizationPayload,
  toAuthorization,
} from './authorization.type';
import { authorizationStream } from './authorization-stream';

@Resolver(() => AuthorizationObject)
export class AuthorizationResolver {
  @Role('ADMINISTRATOR')
  @Mutation(() => StartAuthorizationPayload, {
    description:
      'Gives the QR code that a company’s administrator scans with WeCom to connect the company. Asking again gives the same one while it can be used.',
  })
  async startAuthorization(
    @Ctx() ctx: RequestContext,
    @Arg('input', () => StartAuthorizationInput, { description: 'For which source.' }) input: StartAuthorizationInput,
  ): Promise<StartAuthorizationPayload> {
    const outcome = await ctx.authorizations.start(uuidOf('source', input.identitySourceId), input.renew);
    if ('refusals' in outcome) return { authorization: null, userErrors: outcome.refusals.map(toUserError) };
    return { authorization: toAuthorization(outcome.authorization), userErrors: [] };
  }

  @Role('VIEWER')
  @Subscription(() => AuthorizationObject, {
    description: 'One authorization now, then every change, until it is authorized, refused, expired or canceled.',
    subscribe: ({ args, context }) => {
      const id = uuidOf('authorization', args['id']);
      return abortable((listener) => authorizationStream(context, id, listener)) as never;
    },
  })
  authorization(
    @Root() authorization: AuthorizationObject,
    @Arg('id', () => ID, { description: 'The authorization.' }) _id: string,
  ): AuthorizationObject {
    return authorization;
  }

  @Role('ADMINISTRATOR')
  @FieldResolver(() => String, {
    nullable: true,
    description: 'The QR code, ready to show: an image as a data URI; null once it is no longer PENDING.',
  })
  qrCode(
    @Root() authorization: AuthorizationObject,
    @Arg('format', () => QrCodeFormatEnum, { defaultValue: 'SVG', description: 'Of the image.' })
    format: QrCodeFormatName,
    @Arg('size', () => Int, { defaultValue: 256, description: 'Width and height in pixels: 64 to 1024.' }) size: number,
  ): Promise<string> | null {
    return authorization.url === null ? null : qrCode(authorization.url, format, size);
  }
}

@Resolver(() => IdentitySourceObject)
export class SourceAuthorizationResolver {
  @FieldResolver(() => AuthorizationObject, {
    nullable: true,
    description:
      'The newest consent, asked for or given; null for the custom source, which needs none, and before one was asked for.',
  })
  async authorization(
    @Root() source: IdentitySourceObject,
    @Ctx() ctx: RequestContext,
  ): Promise<AuthorizationObject | null> {
    const [latest] = await ctx.loaders.sourceAuthorization.load(source.uuid);
    return latest ? toAuthorization(latest) : null;
  }
}
