workers 2
threads 5, 5
preload_app!
environment 'production'
bind "tcp://127.0.0.1:#{ENV.fetch('PORT')}"
before_fork { ActiveRecord::Base.connection_handler.clear_all_connections! }
