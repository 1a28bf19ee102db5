# The sign-up of Catamount's sample app as a Rails app: one INSERT and a welcome mail by a job, for Puma and Sidekiq.
require 'rails'
require 'action_controller/railtie'
require 'active_record/railtie'
require 'active_job/railtie'
require 'action_mailer/railtie'
require 'net/smtp'
require 'sidekiq'

# One connection to the mail server per thread, as ours is kept, and without Nagle's delay of 40 ms a mail; Rails would open one
# for each mail, with it. So the comparison favours Rails.
class KeptConnection
  def initialize(_settings) = nil

  def deliver!(mail)
    url = URI(ENV.fetch('SMTP_URL'))
    connection = Thread.current[:smtp] ||= connect(url)
    Mail::SMTPConnection.new(connection:).deliver!(mail)
  end

  private

  def connect(url)
    Net::SMTP.start(url.host, url.port).tap do |connection|
      connection.instance_variable_get(:@socket).io.setsockopt(Socket::IPPROTO_TCP, Socket::TCP_NODELAY, 1)
    end
  end
end
ActiveSupport.on_load(:action_mailer) { add_delivery_method(:kept, KeptConnection) }

class SignUpApp < Rails::Application
  config.load_defaults 7.2
  config.root = __dir__
  config.eager_load = true
  config.api_only = true
  config.secret_key_base = 'a benchmark keeps no secrets'
  # As in a new app's config/environments/production.rb.
  config.logger = ActiveSupport::TaggedLogging.new(ActiveSupport::Logger.new($stdout))
  config.log_tags = [:request_id]
  config.log_level = :info
  config.i18n.available_locales = %i[en ko]
  config.active_job.queue_adapter = :sidekiq
  config.action_mailer.delivery_method = :kept
  config.action_mailer.default_options = { from: 'hello@example.com' }
  config.hosts.clear

  routes.append do
    get '/health', to: 'users#health'
    get '/users/me', to: 'users#me'
    post '/users', to: 'users#create'
  end
end

Sidekiq.configure_server { |config| config.redis = { url: ENV.fetch('REDIS_URL') } }
Sidekiq.configure_client { |config| config.redis = { url: ENV.fetch('REDIS_URL') } }

class User < ActiveRecord::Base
  attr_accessor :token

  validates :email, format: URI::MailTo::EMAIL_REGEXP
  validates :name, length: { maximum: 100 }
  before_create { self.token_digest = Digest::SHA256.hexdigest(self.token = SecureRandom.urlsafe_base64(32)) }
end

# The same texts and markup as ours. Styles are inlined already, as no gem has to do in each mail.
class UserMailer < ActionMailer::Base
  prepend_view_path File.join(__dir__, 'views')
  layout nil
  SUBJECTS = { en: 'Welcome to Catamount', ko: 'Catamount에 오신 것을 환영합니다' }.freeze

  def welcome(user, locale)
    @name, @email = user.name, user.email
    I18n.with_locale(locale) { mail(to: @email, subject: SUBJECTS.fetch(I18n.locale)) }
  end
end

# As `rate_limit` of Rails 7.2 counts, by the cache in Redis.
module Limits
  def self.over?(kind, key, most = 1_000_000)
    count, = Sidekiq.redis do |redis|
      redis.pipelined do |pipeline|
        pipeline.call('INCRBY', "limit:#{kind}:#{key}", 1)
        pipeline.call('EXPIRE', "limit:#{kind}:#{key}", 3600, 'NX')
      end
    end
    count > most
  end
end

class UsersController < ActionController::API
  def health = render(json: { status: 'ok' })

  def create
    user = User.new(email: params.require(:email), name: params[:name])
    return render(json: { errors: user.errors }, status: 422) unless user.valid?

    mailbox, domain = user.email.downcase.split('@')
    limits = { address: request.remote_ip, domain:, mailbox: "#{mailbox}@#{domain}" }
    return head(429) if limits.any? { |kind, key| Limits.over?(kind, key) }

    user.save!
    UserMailer.welcome(user, params[:locale] || 'en').deliver_later
    render json: { id: user.id.to_s, email: user.email, name: user.name, accessToken: "#{user.id}:#{user.token}" }, status: 201
  rescue ActiveRecord::RecordNotUnique
    head 409
  end

  def me
    id, token = request.authorization.to_s.delete_prefix('Bearer ').split(':', 2)
    user = User.find_by(id:)
    known = user && ActiveSupport::SecurityUtils.secure_compare(user.token_digest, Digest::SHA256.hexdigest(token.to_s))
    known ? render(json: { id: user.id.to_s, email: user.email, name: user.name }) : head(401)
  end
end

SignUpApp.initialize!
