# The sign-up of Catamount's sample app as a Rails app: one INSERT and a welcome mail by a job, for Puma and Sidekiq.
require 'rails'
require 'action_controller/railtie'
require 'active_record/railtie'
require 'active_job/railtie'
require 'action_mailer/railtie'
require 'sidekiq'

# The benchmark's mail server greets each new connection after 100 ms, and Rails opens one for each mail. Rendered and thrown away
# is the faster half, so the comparison favours Rails.
class NoDelivery
  def initialize(_settings) = nil
  def deliver!(mail) = mail.encoded
end
ActiveSupport.on_load(:action_mailer) { add_delivery_method(:none, NoDelivery) }

class SignUpApp < Rails::Application
  config.load_defaults 7.2
  config.root = __dir__
  config.eager_load = true
  config.api_only = true
  config.secret_key_base = 'a benchmark keeps no secrets'
  config.logger = Logger.new(File::NULL)
  config.log_level = :info
  config.active_job.queue_adapter = :sidekiq
  config.action_mailer.delivery_method = :none
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

class UserMailer < ActionMailer::Base
  layout nil

  def welcome(user)
    @name = user.name
    greeting = "Welcome, <%= @name %>!"
    mail(to: user.email, subject: "Welcome, #{@name}") do |format|
      format.text { render inline: "#{greeting}\n\nYour account is ready.\n" }
      format.html { render inline: "<!doctype html><h1>#{greeting}</h1><p>Your account is ready.</p>" }
    end
  end
end

class UsersController < ActionController::API
  def health = render(json: { status: 'ok' })

  def create
    user = User.new(email: params.require(:email), name: params[:name])
    return render(json: { errors: user.errors }, status: 422) unless user.valid?

    user.save!
    UserMailer.welcome(user).deliver_later
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
