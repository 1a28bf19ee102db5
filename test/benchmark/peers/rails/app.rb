# The sample app as a Rails app: a sign-up whose welcome mail arrives, by Puma, ActiveJob on Sidekiq, and ActionMailer.
require 'logger'
require 'rails'
require 'active_model/railtie'
require 'active_job/railtie'
require 'active_record/railtie'
require 'action_controller/railtie'
require 'action_mailer/railtie'
require 'sidekiq'

class SeedApp < Rails::Application
  config.root = __dir__
  config.eager_load = true
  config.load_defaults 7.2
  config.secret_key_base = 'x' * 64
  config.hosts.clear
  config.logger = ActiveSupport::TaggedLogging.new(ActiveSupport::Logger.new($stdout))
  config.log_level = :info
  config.active_job.queue_adapter = :sidekiq
  config.active_record.migration_error = false
  config.active_record.schema_cache_ignored_tables = []
  config.action_mailer.delivery_method = ENV['SMTP_PORT'] ? :smtp : :test
  config.action_mailer.smtp_settings = { address: '127.0.0.1', port: ENV['SMTP_PORT'].to_i }
end

class ApplicationRecord < ActiveRecord::Base
  self.abstract_class = true
end

class User < ApplicationRecord
  validates :email, presence: true, format: { with: /\A[^@\s]+@[^@\s]+\.[^@\s]+\z/ }
  validates :name, length: { maximum: 100 }
  validates :locale, inclusion: { in: %w[en ko] }
end

class UserMailer < ActionMailer::Base
  default from: 'Shop <hello@shop.example>', 'Auto-Submitted' => 'auto-generated'
  layout 'mailer'

  def welcome(user)
    @user = user
    mail(to: email_address_with_name(user.email, user.name), subject: 'Welcome to Shop')
  end
end

class WelcomeEmailJob < ActiveJob::Base
  queue_as :mailer

  def perform(user_id)
    user = User.find_by(id: user_id)
    UserMailer.welcome(user).deliver_now if user
  end
end

class UsersController < ActionController::API
  def create
    secret = SecureRandom.urlsafe_base64(32)
    user = User.new(params.permit(:email, :name, :locale).with_defaults(locale: 'en'))
    user.token_digest = Digest::SHA256.digest(secret)
    return render(json: { errors: user.errors }, status: 422) unless user.valid?

    User.transaction { user.save!(validate: false) }
    WelcomeEmailJob.perform_later(user.id)
    render json: present(user).merge(accessToken: "#{user.id}:#{secret}"), status: 201
  end

  def me
    id, secret = request.headers['Authorization'].to_s.delete_prefix('Bearer ').split(':')
    user = User.find_by(id: id)
    digest = Digest::SHA256.digest(secret.to_s)
    return head(401) unless user && ActiveSupport::SecurityUtils.secure_compare(user.token_digest, digest)

    render json: present(user)
  end

  def health
    render json: { status: 'ok' }
  end

  private

  def present(user) = { id: user.id.to_s, email: user.email, name: user.name, locale: user.locale }
end

SeedApp.initialize!
Rails.application.routes.draw do
  post '/users', to: 'users#create'
  get '/users/me', to: 'users#me'
  get '/health', to: 'users#health'
  get '/', to: 'users#health'
end
